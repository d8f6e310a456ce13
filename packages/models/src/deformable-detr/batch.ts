import type { ProcessedImage } from "../images/index.ts";

/** Pictures as one input: each in the top left corner of the largest height and width, zeros around it. */
export interface PaddedBatch {
  /** [B, 3, H, W] */
  readonly pixelValues: Float32Array;
  readonly shape: readonly [number, 3, number, number];
  /** 1 where there is picture. [B, H, W] */
  readonly pixelMask: Uint8Array;
}

/** Pads processed pictures to a batch, as `DeformableDetrImageProcessor.pad` does. */
export function padBatch(images: readonly ProcessedImage[]): PaddedBatch {
  const height = Math.max(...images.map(({ shape }) => shape[2]));
  const width = Math.max(...images.map(({ shape }) => shape[3]));
  const pixelValues = new Float32Array(images.length * 3 * height * width);
  const pixelMask = new Uint8Array(images.length * height * width);
  for (const [b, { pixelValues: values, pixelMask: mask, shape }] of images.entries()) {
    const [, , h, w] = shape;
    for (let y = 0; y < h; y++) {
      for (let c = 0; c < 3; c++) {
        const from = (c * h + y) * w;
        pixelValues.set(values.subarray(from, from + w), ((b * 3 + c) * height + y) * width);
      }
      const row = (b * height + y) * width;
      if (mask) pixelMask.set(mask.subarray(y * w, (y + 1) * w), row);
      else pixelMask.fill(1, row, row + w);
    }
  }
  return { pixelValues, shape: [images.length, 3, height, width], pixelMask };
}
