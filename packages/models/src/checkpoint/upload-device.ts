import { type Device, quantize, type Tensor, type TensorSpec } from "@mask-llava/runtime";
import type { UploadDevice } from "./upload.ts";

/** Rows go to the GPU as they are stored, and are quantised there; their memory is free again for the next ones. */
async function quantizeRows(
  device: Device,
  target: Tensor,
  { spec, data, row }: { spec: TensorSpec; data: ArrayBufferView; row: number },
): Promise<void> {
  using x = device.tensor(spec, data);
  const cmd = device.record(`quantize ${target.label}`);
  quantize(cmd, x, target, { row });
  using program = await cmd.finish();
  program.run();
}

/** What an upload needs, on a device. */
export function uploadDevice(device: Device): UploadDevice {
  return {
    write: (tensor, data, byteOffset) => device.write(tensor, data, byteOffset),
    quantize: (target, rows) => quantizeRows(device, target, rows),
    idle: () => device.idle(),
  };
}
