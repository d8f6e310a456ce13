import {
  type Device,
  isQuantized,
  noFault,
  planesOf,
  quantize,
  type Tensor,
  type TensorSpec,
  unpackBlocks,
} from "@mask-llava/runtime";
import type { BlockRows, UploadDevice } from "./upload.ts";

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

/** Blocks go to the GPU as they are stored, and are unpacked there, into the target or to be quantised anew. */
async function unpackRows(
  device: Device,
  target: Tensor,
  faults: Tensor,
  { bytes, format, row, rows, headRows, slot }: BlockRows,
): Promise<void> {
  const label = `${target.label} as stored`;
  using blocks = device.tensor({ shape: [Math.ceil(bytes.byteLength / 4)], dtype: "u32", label }, bytes);
  const cmd = device.record(`unpack ${target.label}`);
  if (isQuantized(target.dtype) && planesOf[format] !== target.dtype) {
    using values = device.tensor({ shape: [rows, target.shape.at(-1) as number], dtype: "f32", label });
    unpackBlocks(cmd, blocks, values, faults, { format, row: 0, rows, headRows, slot });
    quantize(cmd, values, target, { row });
    using program = await cmd.finish();
    program.run();
    return;
  }
  unpackBlocks(cmd, blocks, target, faults, { format, row, rows, headRows, slot });
  using program = await cmd.finish();
  program.run();
}

/** What an upload of at most `slots` tensors needs, on a device. */
export function uploadDevice(device: Device, slots: number): UploadDevice & Disposable {
  let faults: Tensor | undefined;
  return {
    write: (tensor, data, byteOffset) => device.write(tensor, data, byteOffset),
    quantize: (target, rows) => quantizeRows(device, target, rows),
    unpack(target, rows) {
      const none = new Uint32Array(slots).fill(noFault);
      faults ??= device.tensor({ shape: [slots], dtype: "u32", label: "faults of blocks" }, none);
      return unpackRows(device, target, faults, rows);
    },
    async faults() {
      const found = faults ? [...(await device.read(faults))] : [];
      return found.flatMap((row, slot) => (row === noFault ? [] : [slot]));
    },
    idle: () => device.idle(),
    [Symbol.dispose]: () => faults?.dispose(),
  };
}
