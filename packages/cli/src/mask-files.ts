import type { Pixels, Size } from "@mask-llava/models";

/** A mask to be saved: anything but 0 is inside. */
export interface SavedMask extends Size {
  readonly data: ArrayLike<number>;
  /** Instead of its number. */
  readonly name?: string;
}

/** Masks as grey pictures, 0 and 255, named `mask-001.png` on, in their order. */
export function maskPictures(masks: readonly SavedMask[]): { name: string; picture: Pixels }[] {
  const digits = Math.max(3, String(masks.length).length);
  return masks.map(({ width, height, data, name }, i) => {
    const grey = new Uint8Array(width * height);
    for (let at = 0; at < grey.length; at++) grey[at] = data[at] ? 255 : 0;
    const number = String(i + 1).padStart(digits, "0");
    return { name: `${name ?? `mask-${number}`}.png`, picture: { width, height, channels: 1, data: grey } };
  });
}
