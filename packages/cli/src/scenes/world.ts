/**
 * What there is in the world. The weights are the relative frequencies with which scenes draw shapes and colours: they
 * differ, so that there are popular things, which "popular" negatives ask for.
 */
export const shapeWeights = {
  circle: 1.4,
  square: 1.3,
  triangle: 1.2,
  star: 1,
  cross: 1,
  ring: 0.8,
  heart: 0.7,
  hexagon: 0.7,
} as const;

export const colourWeights = {
  red: 1.4,
  blue: 1.3,
  green: 1.2,
  yellow: 1,
  purple: 0.9,
  orange: 0.9,
  cyan: 0.8,
  pink: 0.7,
} as const;

export const sizes = ["small", "large"] as const;

export type ShapeName = keyof typeof shapeWeights;
export type Colour = keyof typeof colourWeights;
export type SizeName = (typeof sizes)[number];

export const shapes = Object.keys(shapeWeights) as readonly ShapeName[];
export const colours = Object.keys(colourWeights) as readonly Colour[];

/** sRGB, before the jitter of each object. */
export const colourValues: Readonly<Record<Colour, readonly [number, number, number]>> = {
  red: [212, 30, 34],
  blue: [34, 70, 214],
  green: [32, 146, 50],
  yellow: [240, 214, 40],
  purple: [122, 38, 164],
  orange: [244, 130, 20],
  cyan: [48, 204, 214],
  pink: [250, 140, 190],
};

/** Radii of objects as shares of the picture's side; what a shape's radius is, `outlines.ts` says. */
export const radii: Readonly<Record<SizeName, readonly [number, number]>> = {
  small: [0.085, 0.1],
  large: [0.14, 0.165],
};

export const mostObjects = 8;
/** Objects are turned by up to so many degrees, either way. */
export const mostRotation = 20;
/** At least this share of every object is visible. */
export const leastVisible = 0.45;

/** A shape in a colour. */
export interface Thing {
  readonly shape: ShapeName;
  readonly colour: Colour;
}

/** Every shape in every colour, the most frequent first. */
export const things: readonly Thing[] = shapes
  .flatMap((shape) => colours.map((colour) => ({ shape, colour })))
  .toSorted((a, b) => frequency(b) - frequency(a));

function frequency({ shape, colour }: Thing): number {
  return shapeWeights[shape] * colourWeights[colour];
}
