import type { Box, Size } from "@mask-llava/models";

/** Pixels inside a mask: those that are not 0. */
export function maskArea(mask: ArrayLike<number>): number {
  let area = 0;
  for (let i = 0; i < mask.length; i++) if (mask[i]) area++;
  return area;
}

/** The smallest box (x0, y0, x1, y1) around what is not 0; undefined where nothing is. */
export function maskBox(mask: ArrayLike<number>, { width, height }: Size): Box | undefined {
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      x0 = Math.min(x0, x);
      y0 = Math.min(y0, y);
      x1 = Math.max(x1, x + 1);
      y1 = Math.max(y1, y + 1);
    }
  }
  return x1 > x0 ? [x0, y0, x1, y1] : undefined;
}
