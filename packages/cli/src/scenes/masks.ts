import type { Box } from "@mask-llava/models";

/** What is seen of each object where each hides those before it: masks of 0 and 1, from the back to the front. */
export function visibleMasks(full: readonly Uint8Array[]): Uint8Array[] {
  const visible = full.map((mask) => mask.slice());
  const hidden = new Uint8Array(full[0]?.length ?? 0);
  for (let object = full.length - 1; object >= 0; object--) {
    const [mask, seen] = [full[object] as Uint8Array, visible[object] as Uint8Array];
    for (let i = 0; i < mask.length; i++) {
      if (hidden[i]) seen[i] = 0;
      else if (mask[i]) hidden[i] = 1;
    }
  }
  return visible;
}

/** Pixels of a mask. */
export function areaOf(mask: Uint8Array): number {
  let area = 0;
  for (const inside of mask) area += inside;
  return area;
}

/** Bounds of a mask, which must not be empty, in a picture of width `size`: (x0, y0, x1, y1), the ends not included. */
export function boundsOf(mask: Uint8Array, size: number): Box {
  let [x0, y0, x1, y1] = [size, size, 0, 0];
  for (let y = 0, i = 0; y < size; y++) {
    for (let x = 0; x < size; x++, i++) {
      if (!mask[i]) continue;
      if (x < x0) x0 = x;
      if (x >= x1) x1 = x + 1;
      if (y < y0) y0 = y;
      y1 = y + 1;
    }
  }
  return [x0, y0, x1, y1];
}
