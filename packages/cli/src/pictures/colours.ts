/** Red, green and blue of sRGB, 0 to 255. */
export type Rgb = readonly [red: number, green: number, blue: number];

/** The page that pictures are drawn on. */
export const theme = {
  page: [14, 17, 22],
  card: [24, 28, 36],
  line: [52, 59, 71],
  text: [236, 240, 245],
  faint: [151, 160, 174],
  warning: [255, 123, 114],
} as const satisfies Record<string, Rgb>;

/** Degrees between the hues of neighbours: the golden angle, so that any first few lie far apart. */
const hueStep = 137.508;

/** Colour of the i-th object: bright, and apart from those before it. */
export function objectColour(index: number): Rgb {
  const lightness = [0.8, 0.73, 0.86][index % 3] as number;
  return oklch(lightness, 0.16, 145 + index * hueStep);
}

/** Stops of the heat scale, from nothing to most: dark to light throughout, so that it reads without colour too. */
const heatStops: readonly Rgb[] = [
  [8, 6, 28],
  [56, 18, 92],
  [128, 28, 110],
  [200, 52, 82],
  [244, 110, 44],
  [253, 186, 60],
  [255, 246, 186],
];

/** Colour of a value from 0 to 1 on the heat scale. */
export function heatColour(value: number): Rgb {
  const at = Math.min(Math.max(value, 0), 1) * (heatStops.length - 1);
  const low = Math.min(Math.floor(at), heatStops.length - 2);
  const [a, b] = [heatStops[low] as Rgb, heatStops[low + 1] as Rgb];
  const mix = (i: 0 | 1 | 2) => Math.round(a[i] + (b[i] - a[i]) * (at - low));
  return [mix(0), mix(1), mix(2)];
}

/** As SVG has it. */
export function css([r, g, b]: Rgb): string {
  return `rgb(${r},${g},${b})`;
}

/** Black or white, whichever reads better on `colour` (WCAG's relative luminance). */
export function inkOn(colour: Rgb): string {
  const [r, g, b] = colour.map((v) => linear(v / 255)) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#10131a" : "#ffffff";
}

function linear(v: number): number {
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
}

/** A colour of OKLCH (Ottosson 2020), cut to what sRGB can show. */
export function oklch(lightness: number, chroma: number, hue: number): Rgb {
  const angle = (hue * Math.PI) / 180;
  const a = chroma * Math.cos(angle);
  const b = chroma * Math.sin(angle);
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const encode = (v: number) => {
    const cut = Math.min(Math.max(v, 0), 1);
    return Math.round(255 * (cut <= 0.0031308 ? 12.92 * cut : 1.055 * cut ** (1 / 2.4) - 0.055));
  };
  return [
    encode(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
    encode(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
    encode(-0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short),
  ];
}
