import {
  type Folder,
  LanguageModel,
  MemoryFolder,
  type StoredTensor,
  TensorIndex,
  type WeightDType,
  weightTarget,
  writeSafetensors,
} from "@mask-llava/models";
import {
  type Device,
  decodeFloat16,
  dequantizeHost,
  isQuantized,
  type QuantizedDType,
  quantizeHost,
  Random,
} from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";
import { Fixture, relativeL2 } from "../support/fixtures.ts";

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

/** Values of a stored tensor, given the dtype that it has on the GPU. */
type Change = (values: Float32Array, shape: readonly number[], target: QuantizedDType) => Float32Array;

/** The checkpoint with `change` done to every weight that is quantised under `dtype`, to be loaded in f32. */
async function changed(folder: Folder, dtype: WeightDType, change: Change): Promise<Folder> {
  const index = await TensorIndex.open(folder);
  const tensors: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
  for (const [name, stored] of index.tensors) {
    const data = await floats(stored);
    const role = /_proj\.weight$/.test(name)
      ? "linear"
      : /(embed_tokens|lm_head)\.weight$/.test(name)
        ? "vocabulary"
        : undefined;
    const target = weightTarget(dtype, role);
    const { shape } = stored;
    tensors[name] = { shape, data: isQuantized(target) ? change(data, shape, target) : data };
  }
  await index.close();
  const weights = new MemoryFolder({ "model.safetensors": writeSafetensors(tensors) });
  return {
    name: `${folder.name}, changed`,
    open: async (name) => {
      if (name.endsWith(".index.json")) return undefined;
      return name === "model.safetensors" ? weights.open(name) : folder.open(name);
    },
  };
}

async function floats({ dtype, source, begin, end }: StoredTensor): Promise<Float32Array> {
  const bytes = (await source.read(begin, end - begin)).slice().buffer;
  if (dtype === "F32") return new Float32Array(bytes);
  const halves = new Uint16Array(bytes);
  if (dtype === "F16") return decodeFloat16(halves);
  return new Float32Array(Uint32Array.from(halves, (bits) => bits << 16).buffer);
}

/** What the quants stand for. */
const dequantized: Change = (values, shape, target) =>
  dequantizeHost(quantizeHost(values, shape, target), shape, target);

/** Normal noise as large as the error of rounding to steps of the largest of 32 weights over 127, or over 8. */
function noisy(random: Random): Change {
  return (values, shape, target) => {
    const width = shape.at(-1) as number;
    return values.map((x, i) => {
      const first = i - ((i % width) % 32);
      const group = values.subarray(first, Math.min(first + 32, i - (i % width) + width));
      const step = group.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / (target === "q8_0" ? 127 : 8);
      return x + (step / Math.sqrt(12)) * random.normal();
    });
  };
}

describe.each(["llama-gqa", "llama-tied-llama3", "llama-f16"])("%s", (name) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.open(name);
  });

  test.each(["q8", "q4"] as const)("in %s", async (dtype) => {
    const prompt = fixture.ids("input_ids");
    const options = { doSample: false, maxNewTokens: 6, ignoreEos: true, promptLogits: true };
    const answer = async (folder: Folder, load: WeightDType) => {
      using model = await LanguageModel.load(device, folder, { dtype: load });
      return await model.generate(prompt, options);
    };
    const quantized = await answer(fixture.folder, dtype);
    const logits = quantized.promptLogits?.data ?? new Float32Array();

    // the kernels, in prefill and decoding: as a network of the very values that the quants stand for
    const same = await answer(await changed(fixture.folder, dtype, dequantized), "f32");
    expect(relativeL2(logits, same.promptLogits?.data ?? [])).toBeLessThan(3e-4);
    expect(quantized.newIds).toEqual(same.newIds);

    // the cost: what noise of the size of the rounding costs, and no more. Both are one draw of the same distribution.
    const expected = fixture.floats("logits");
    const noise = await answer(await changed(fixture.folder, dtype, noisy(new Random(5))), "f32");
    const error = relativeL2(logits, expected) / relativeL2(noise.promptLogits?.data ?? [], expected);
    expect(error).toBeLessThan(1.5);
    expect(error).toBeGreaterThan(0.5);
    const decided = checkLikeliest(logits, expected, prompt.length);
    // the margins of random networks are as small as the errors of 4 bits
    if (dtype === "q8") expect(decided).toBeGreaterThan(0);
  });
});

/**
 * The likeliest token of each position: where it leads by more than six deviations of the difference of two errors, it has
 * to stay that. Returns how many do.
 */
function checkLikeliest(actual: Float32Array, expected: Float32Array, positions: number): number {
  const width = expected.length / positions;
  let decided = 0;
  for (let i = 0; i < positions; i++) {
    const row = (x: Float32Array) => x.subarray(i * width, (i + 1) * width);
    const [a, e] = [row(actual), row(expected)];
    const deviation = Math.sqrt(e.reduce((sum, x, j) => sum + ((a[j] as number) - x) ** 2, 0) / width);
    const [first = 0, second = 0] = e.toSorted((x, y) => y - x);
    if (first - second <= 6 * Math.SQRT2 * deviation) continue;
    decided++;
    expect(a.indexOf(Math.max(...a)), `position ${i}`).toBe(e.indexOf(first));
  }
  return decided;
}
