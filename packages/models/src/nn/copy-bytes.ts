import type { Device, Tensor } from "@mask-llava/runtime";

/** Bytes of one tensor that become bytes of another. Offsets and counts are multiples of 4. */
export interface ByteCopy {
  readonly from: Tensor;
  readonly fromByte: number;
  readonly to: Tensor;
  readonly toByte: number;
  readonly bytes: number;
}

/** Copies on the GPU, in one submit, after everything that was submitted before. */
export function copyBytes(device: Device, copies: readonly ByteCopy[]): void {
  const encoder = device.gpuDevice.createCommandEncoder({ label: "copy bytes" });
  for (const { from, fromByte, to, toByte, bytes } of copies)
    encoder.copyBufferToBuffer(from.buffer(), fromByte, to.buffer(), toByte, bytes);
  device.submit(encoder);
}
