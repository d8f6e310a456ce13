import type { Device } from "@mask-llava/runtime";

/** `real`: the shapes that the networks have; the others are scaled down. */
export const sizes = ["tiny", "small", "real"] as const;
export type Size = (typeof sizes)[number];

/**
 * The size that fits a device where none is asked for: the whole suite of kernels shall take less than five minutes. Of software
 * adapters, those that compute four lanes at once take ten times as long as those that compute eight.
 */
export function defaultSize({ info, caps }: Device): Size {
  if (!info.software) return "real";
  return caps.subgroupSize >= 8 ? "small" : "tiny";
}
