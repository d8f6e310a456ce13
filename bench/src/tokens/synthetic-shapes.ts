/** Shapes of a decoder and of the vision tower before it. */
export interface SyntheticShape {
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  /** Widths of patch and [CLS] tokens, and of object tokens; patches a side. */
  readonly vision: { readonly width: number; readonly joint: number; readonly side: number };
}

/** L/14-336's tower: 24 x 24 patches. */
const large = { width: 1024, joint: 768, side: 24 };

export const syntheticShapes = {
  /** A few seconds on a software adapter. */
  tiny: {
    ...{ hidden: 256, inner: 704, layers: 2, heads: 4, kvHeads: 4, vocabulary: 1024 },
    vision: { width: 128, joint: 96, side: 24 },
  },
  "100m": {
    ...{ hidden: 768, inner: 2048, layers: 12, heads: 12, kvHeads: 12, vocabulary: 16000 },
    vision: large,
  },
  /** TinyLlama's. */
  "1b": {
    ...{ hidden: 2048, inner: 5632, layers: 22, heads: 32, kvHeads: 4, vocabulary: 32000 },
    vision: large,
  },
  /** LLaVA-1.5-7B's. */
  "7b": {
    ...{ hidden: 4096, inner: 11008, layers: 32, heads: 32, kvHeads: 32, vocabulary: 32064 },
    vision: large,
  },
} as const satisfies Record<string, SyntheticShape>;

export type SyntheticName = keyof typeof syntheticShapes;
export const syntheticNames = Object.keys(syntheticShapes) as SyntheticName[];
