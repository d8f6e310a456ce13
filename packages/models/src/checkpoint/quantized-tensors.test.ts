import { type QuantizedDType, quantizedLayout } from "@mask-llava/runtime";
import { describe, expect, test } from "vitest";
import { MemorySource } from "./byte-source.ts";
import { joinPlanes, planeTensors, quantizedKey } from "./quantized-tensors.ts";
import { readSafetensors } from "./safetensors.ts";
import { type HostTensorData, writeSafetensors } from "./write-safetensors.ts";

const shape = [3, 70];
const sizeOf = (s: readonly number[]) => s.reduce((a, b) => a * b, 1);

function planes(dtype: QuantizedDType): Record<string, HostTensorData> {
  const { quants, scales } = planeTensors("w", { dtype, shape });
  return {
    [quants.name]: { shape: quants.shape, data: new Uint8Array(sizeOf(quants.shape)).fill(3) },
    [scales.name]: { shape: scales.shape, data: new Uint16Array(sizeOf(scales.shape)).fill(5) },
  };
}

async function join(tensors: Record<string, HostTensorData>, listed: unknown) {
  const bytes = writeSafetensors(tensors, {
    [quantizedKey]: typeof listed === "string" ? listed : JSON.stringify(listed),
  });
  return joinPlanes(await readSafetensors(new MemorySource("m.safetensors", bytes)), "m.safetensors");
}

const other: HostTensorData = { shape: [2], data: Float32Array.of(1, 2) };

describe.each(["q8_0", "q4_0", "q4_1"] as const)("%s", (dtype) => {
  test("two tensors become the weight that they are, whole as the GPU's planes", async () => {
    const joined = await join({ ...planes(dtype), other }, { w: { dtype, shape } });
    expect([...joined.keys()].sort()).toEqual(["other", "w"]);
    const weight = joined.get("w");
    expect(weight).toMatchObject({ dtype, shape });
    const { quants, scales } = quantizedLayout(shape, dtype);
    expect((weight?.end ?? 0) - (weight?.begin ?? 0)).toBe(quants.bytes);
    expect((weight?.scales?.end ?? 0) - (weight?.scales?.begin ?? 0)).toBe(scales.bytes);
  });
});

describe("what is wrong is refused", () => {
  const right = planes("q4_0");
  const listed = { w: { dtype: "q4_0", shape } };
  const { "w.scales": scales, ...noScales } = right;
  test.each([
    ["no list", right, "{", { code: "CONFIG" }],
    ["an unknown dtype", right, { w: { dtype: "q3_0", shape } }, { code: "CONFIG", field: "w.dtype" }],
    [
      "a malformed shape",
      right,
      { w: { dtype: "q4_0", shape: [3, -1] } },
      { code: "CONFIG", field: "w.shape[1]" },
    ],
    ["a field too many", right, { w: { dtype: "q4_0", shape, bits: 4 } }, { code: "CONFIG" }],
    ["a plane that is not there", noScales, listed, { code: "CHECKPOINT", tensor: "w.scales" }],
    [
      "another shape",
      right,
      { w: { dtype: "q4_0", shape: [3, 97] } },
      { tensor: "w.quants", found: "U8 [3, 48]" },
    ],
    ["planes of another dtype", right, { w: { dtype: "q8_0", shape } }, { tensor: "w.quants" }],
    [
      "scales of another type",
      { ...noScales, "w.scales": { shape: scales?.shape ?? [], data: new Float32Array(9) } },
      listed,
      { tensor: "w.scales", found: "F32 [3, 3]", expected: "F16 [3, 3]" },
    ],
    ["the weight twice", { ...right, w: other }, listed, { code: "CHECKPOINT", tensor: "w" }],
  ] as const)("%s", async (_, tensors, list, expected) => {
    await expect(join(tensors as Record<string, HostTensorData>, list)).rejects.toMatchObject(expected);
  });
});
