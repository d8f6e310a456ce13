import type { Device } from "@mask-llava/runtime";

/** `real`: the shapes that the networks have; the others are scaled down. */
export const sizes = ["tiny", "small", "real"] as const;
export type Size = (typeof sizes)[number];

/** The size that fits a device where none is asked for. */
export function defaultSize(device: Device): Size {
  return device.info.software ? "small" : "real";
}
