import {
  type Device,
  type HostTensor,
  type QuantizedDType,
  quantize,
  quantizedLayout,
  quantizeHost,
  Tensor,
} from "@mask-llava/runtime";
import { type OpCase, type OpSuite, Random, suites, upload } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";

let device: Device;
beforeAll(async () => {
  // bindings of 16 KiB: the larger weights below are bound part by part
  device = await openTestDevice({ limits: { maxStorageBufferBindingSize: 16384 } });
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

const dtypes: QuantizedDType[] = ["q8_0", "q4_0", "q4_1"];

async function bytesOf(tensor: Tensor): Promise<Uint8Array> {
  const words = new Tensor({ shape: [tensor.storage.bytes / 4], dtype: "u32" }, tensor.storage);
  return new Uint8Array((await device.read(words)).buffer).slice(0, tensor.storage.bytes);
}

/** Both planes; what lies between and behind them is nobody's. */
function planes(bytes: Uint8Array, shape: readonly number[], dtype: QuantizedDType): number[][] {
  const { quants, scales } = quantizedLayout(shape, dtype);
  return [quants, scales].map(({ offset, bytes: n }) => [...bytes.subarray(offset, offset + n)]);
}

describe.each(dtypes)("%s", (dtype) => {
  test.each([
    [3, 32],
    [260, 128],
    [400, 96],
    [21, 45],
  ])("[%i, %i] in parts of rows is the reference, bit by bit", async (rows, width) => {
    const x = new Random(3).normals([rows, width], { scale: 0.05, mean: 0.01 });
    using target = device.tensor({ shape: [rows, width], dtype });
    for (let row = 0; row < rows; row += 83) {
      const count = Math.min(83, rows - row);
      const data = x.data.subarray(row * width, (row + count) * width);
      using part = upload(device, { shape: [count, width], dtype: "f32", data });
      const cmd = device.record("quantize");
      quantize(cmd, part, target, { row });
      using program = await cmd.finish();
      program.run();
      await device.idle();
    }
    const expected = quantizeHost(x.data, [rows, width], dtype);
    expect(planes(await bytesOf(target), [rows, width], dtype)).toEqual(
      planes(expected, [rows, width], dtype),
    );
  });

  test("the op's corner cases are, too", async () => {
    const { cases } = suites.find(({ op }) => op.name === "quantize") as OpSuite;
    const corner = cases.find(({ name }) => name === `corners of ${dtype}`) as OpCase<unknown, unknown>;
    const { x } = corner.inputs(new Random(1)) as unknown as { x: HostTensor };
    using source = upload(device, x);
    using target = device.tensor({ shape: x.shape, dtype });
    const cmd = device.record("corners");
    quantize(cmd, source, target);
    using program = await cmd.finish();
    program.run();
    const expected = quantizeHost(x.data, x.shape, dtype);
    expect(planes(await bytesOf(target), x.shape, dtype)).toEqual(planes(expected, x.shape, dtype));
  });
});
