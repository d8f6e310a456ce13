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

/** Centre of the pixel inside a mask that is nearest to its centroid; undefined where nothing is inside. */
export function maskCentre(mask: ArrayLike<number>, { width }: Size): [x: number, y: number] | undefined {
  const area = maskArea(mask);
  if (area === 0) return undefined;
  let [sumX, sumY] = [0, 0];
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    sumX += i % width;
    sumY += Math.floor(i / width);
  }
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    const distance = ((i % width) - sumX / area) ** 2 + (Math.floor(i / width) - sumY / area) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return [(best % width) + 0.5, Math.floor(best / width) + 0.5];
}
