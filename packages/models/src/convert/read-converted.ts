import {
  byteLength,
  type Device,
  dataBytes,
  isQuantized,
  quantizedLayout,
  Tensor,
} from "@mask-llava/runtime";
import { type UploadOptions, upload, uploadDevice } from "../checkpoint/index.ts";
import type { ConvertedTensor } from "./plan.ts";
import { storedTensors } from "./shards.ts";

/** Bytes of one stored tensor. */
export interface ConvertedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * The bytes of a weight in the new checkpoint: those that loading puts on the GPU, made by the same kernels and read back, so
 * that loading the new checkpoint gives the same bits.
 */
export async function readConverted(
  device: Device,
  tensor: ConvertedTensor,
  options: Pick<UploadOptions, "signal"> = {},
): Promise<ConvertedBytes[]> {
  const { stored, target: dtype, kept } = tensor;
  const names = storedTensors(tensor).map(({ name }) => name);
  if (kept) {
    const bytes = await stored.source.read(stored.begin, stored.end - stored.begin);
    return [{ name: names[0] as string, bytes }];
  }
  const spec = { shape: stored.shape, dtype, label: stored.name };
  using target = device.tensor(spec);
  using writer = uploadDevice(device, 1);
  await upload(writer, [{ stored, target, dtype, firstElement: 0 }], options);
  const words = new Tensor({ shape: [byteLength(spec) / 4], dtype: "u32" }, target.storage);
  const bytes = new Uint8Array((await device.read(words)).buffer);
  if (!isQuantized(dtype)) return [{ name: names[0] as string, bytes: bytes.subarray(0, dataBytes(spec)) }];
  const { quants, scales } = quantizedLayout(stored.shape, dtype);
  return [quants, scales].map(({ offset, bytes: length }, i) => ({
    name: names[i] as string,
    bytes: bytes.subarray(offset, offset + length),
  }));
}
