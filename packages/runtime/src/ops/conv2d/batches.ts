import type { Capabilities } from "../../capabilities.ts";
import { KernelError } from "../../errors.ts";
import type { TensorWindow } from "../../kernel.ts";
import { bytesPerElement, formatSpec, sizeOf, type Tensor, type TensorSpec } from "../../tensor.ts";
import { byteWindows, type RowWindow } from "../../windows.ts";
import type { Epilogue } from "./epilogue.ts";
import type { Conv2dInputs, Conv2dParams } from "./spec.ts";

function elementsPerImage(t: TensorSpec): number {
  return sizeOf(t.shape.slice(1));
}

/**
 * Windows of whole images (the first axis), so that no tensor exceeds a binding, nor `groups` workgroups an image along
 * one axis the grid, nor `scratchBytes` of scratch memory an image a binding. Undefined where one image is too large.
 */
export function imageWindows(
  tensors: readonly (TensorSpec | undefined)[],
  groups: number,
  caps: Capabilities,
  scratchBytes = 0,
): RowWindow[] | undefined {
  const { maxStorageBufferBindingSize: limit, maxComputeWorkgroupsPerDimension } = caps.limits;
  const present = tensors.flatMap((t) => (t ? [t] : []));
  const images = present[0]?.shape[0] ?? 0;
  const most = Math.floor(
    Math.min(images, maxComputeWorkgroupsPerDimension / groups, scratchBytes ? limit / scratchBytes : images),
  );
  const bytes = present.map((t) => elementsPerImage(t) * bytesPerElement(t.dtype));
  return byteWindows(images, bytes, caps, most);
}

/** `imageWindows`, where one image that is too large is a KernelError. */
export function batchWindows(
  op: string,
  tensors: readonly (TensorSpec | undefined)[],
  groups: number,
  caps: Capabilities,
  scratchBytes = 0,
): RowWindow[] {
  const windows = imageWindows(tensors, groups, caps, scratchBytes);
  if (windows) return windows;
  const names = tensors.flatMap((t) => (t ? [formatSpec(t)] : [])).join(", ");
  throw new KernelError(
    `${op}: one image of ${names} does not fit a binding of ${caps.limits.maxStorageBufferBindingSize} bytes`,
  );
}

/** The part of a tensor that a window of images covers. */
export function imagesOf(tensor: Tensor, window: RowWindow): TensorWindow;
export function imagesOf(tensor: Tensor | undefined, window: RowWindow): TensorWindow | undefined;
export function imagesOf(tensor: Tensor | undefined, { start, count }: RowWindow): TensorWindow | undefined {
  if (!tensor) return undefined;
  const size = elementsPerImage(tensor);
  return { tensor, start: start * size, length: count * size };
}

export function epilogueOf({ bias, residual }: Conv2dInputs, params: Conv2dParams): Epilogue {
  const { activation, addFirst } = params;
  // without a residual the order is no difference: share the pipeline
  return { activation, bias: !!bias, residual: !!residual, addFirst: !!residual && addFirst };
}
