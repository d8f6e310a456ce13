import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  Checkpoint,
  type ConvertDType,
  type Derivation,
  type Folder,
  LanguageModel,
  LlamaNetwork,
  Llava,
  LlavaNetwork,
  type LoadDType,
  llamaConfigSchema,
  llamaIgnored,
  llavaConfigSchema,
  llavaIgnored,
  llavaNames,
  readJson,
  ropeTable,
  type TakeOptions,
  type WeightStore,
  Weights,
} from "@mask-llava/models";
import { convertCheckpoint, decodeImage, FileFolder, openCheckpoint } from "@mask-llava/models/node";
import { type Device, isQuantized, quantizedLayout, type Shape, Tensor } from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";
import { Fixture, fixturePath } from "./support/fixtures.ts";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openTestDevice();
  folder = mkdtempSync(path.join(tmpdir(), "mask-llava-convert-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

/** A checkpoint's weights, and what was handed out of them. */
class Watched implements WeightStore {
  readonly taken = new Map<string, Tensor>();
  readonly #of: Checkpoint;

  constructor(of: Checkpoint) {
    this.#of = of;
  }
  get shapes() {
    return this.#of.shapes;
  }
  shape(name: string) {
    return this.#of.shape(name);
  }
  typeOf(name: string, shape: Shape, options?: TakeOptions) {
    return this.#of.typeOf(name, shape, options);
  }
  takeHost(name: string, shape: Shape) {
    return this.#of.takeHost(name, shape);
  }
  take(name: string, shape: Shape, options?: TakeOptions) {
    return this.#keep(name, this.#of.take(name, shape, options));
  }
  takeConcat(parts: readonly (readonly [string, Shape])[], options?: TakeOptions) {
    return this.#keep(parts.map(([name]) => name).join(" + "), this.#of.takeConcat(parts, options));
  }
  derive(derivation: Derivation) {
    return this.#keep(derivation.label, this.#of.derive(derivation));
  }
  #keep(name: string, tensor: Tensor) {
    this.taken.set(name, tensor);
    return tensor;
  }
}

/** The bytes of every tensor on the GPU, with its type; of planes without what lies between them. */
async function bytesOf(of: Folder, dtype: LoadDType): Promise<Map<string, string>> {
  const json = (await readJson(of, "config.json")) as { model_type: string };
  const llava = json.model_type === "llava";
  const names = llava ? { rename: llavaNames, ignore: llavaIgnored } : { ignore: llamaIgnored };
  using checkpoint = await Checkpoint.open(device, of, { dtype, ...names });
  const watched = new Watched(checkpoint);
  const cursor = new Weights(watched, "");
  const config = llava ? llavaConfigSchema.parse(json) : llamaConfigSchema.parse(json);
  const rope = ropeTable(device, "text_config" in config ? config.text_config : config);
  using _ = rope.inverseFrequencies;
  if ("text_config" in config) new LlavaNetwork(cursor, config, rope);
  else new LlamaNetwork(cursor, config, rope);
  await checkpoint.load();
  const bytes = new Map<string, string>();
  for (const [name, tensor] of watched.taken) {
    const words = new Tensor({ shape: [tensor.storage.bytes / 4], dtype: "u32" }, tensor.storage);
    const all = Buffer.from((await device.read(words)).buffer);
    const parts = isQuantized(tensor.dtype)
      ? [quantizedLayout(tensor.shape, tensor.dtype)].flatMap(({ quants, scales }) => [quants, scales])
      : [{ offset: 0, bytes: tensor.size * (tensor.dtype === "f16" ? 2 : 4) }];
    const hex = parts.map(({ offset, bytes: n }) => all.subarray(offset, offset + n).toString("hex"));
    bytes.set(name, `${tensor.dtype} ${hex.join(" ")}`);
  }
  return bytes;
}

let counter = 0;
async function convert(from: Folder, dtype: ConvertDType, maxShardBytes?: number) {
  const out = path.join(folder, String(counter++));
  const result = await convertCheckpoint(device, from, dtype, out, maxShardBytes ? { maxShardBytes } : {});
  return { out, folder: await FileFolder.open(out), ...result };
}

const hf = (name: string) => () => openCheckpoint(fixturePath(name));
const gguf = (file: string, mmproj?: string) => () =>
  openCheckpoint(fixturePath(file), mmproj && fixturePath(mmproj));

describe.each([
  ["llama-gqa", hf("llama-gqa"), 60_000],
  ["llama-tied-llama3", hf("llama-tied-llama3"), undefined],
  ["llava-older", hf("llava-older"), undefined],
  ["gguf-blocks/q5.gguf", gguf("gguf-blocks/q5.gguf"), undefined],
  ["gguf-blocks/q4_1.gguf", gguf("gguf-blocks/q4_1.gguf"), undefined],
  ["gguf-super-blocks/q4_k_m.gguf", gguf("gguf-super-blocks/q4_k_m.gguf"), undefined],
  [
    "gguf-converted/llava-older.gguf",
    gguf("gguf-converted/llava-older.gguf", "gguf-converted/mmproj-llava-older.gguf"),
    undefined,
  ],
])("%s", (_, open, maxShardBytes) => {
  test.each(["f16", "q8", "q4"] as const)(
    "as %s: what is loaded is what was quantised on load, bit by bit",
    async (dtype) => {
      const from = await open();
      const converted = await convert(from, dtype, maxShardBytes);
      const expected = await bytesOf(from, dtype);
      expect(await bytesOf(converted.folder, dtype)).toEqual(expected);
      expect(await bytesOf(converted.folder, "stored")).toEqual(expected);
      const shards = converted.files.filter((file) => file.endsWith(".safetensors"));
      expect(shards.length > 1).toBe(maxShardBytes !== undefined);
      expect(readdirSync(converted.out).sort()).toEqual([...converted.files].sort());
      const kinds = Object.keys(converted.tensors);
      expect(kinds.some((kind) => isQuantized(kind))).toBe(dtype !== "f16");
    },
  );
});

test("a converted model answers, with its tokenizer, template and settings", async () => {
  const fixture = await Fixture.open("gguf-blocks");
  const converted = await convert(await gguf("gguf-blocks/q8_0.gguf")(), "q8");
  using model = await LanguageModel.load(device, converted.folder, { dtype: "stored" });
  const ids = model.tokenizer.encode(fixture.json.prompt);
  const options = { doSample: false, repetitionPenalty: 1, maxNewTokens: fixture.json.max_new_tokens };
  const answer = await model.generate(ids, options);
  expect(answer.inputIds).toEqual(fixture.ids("input_ids"));
  expect([...answer.inputIds, ...answer.newIds]).toEqual(fixture.ids("q8_0.sequences"));
});

test("a converted LLaVA answers about a picture as its original", async () => {
  const fixture = await Fixture.open("llava-older");
  const converted = await convert(fixture.folder, "f16");
  const picture = await decodeImage(fixture.file(fixture.json.pictures[0]));
  const question = { pictures: [picture], prompt: fixture.json.prompt, addSpecialTokens: true };
  const options = { doSample: false, repetitionPenalty: 1, maxNewTokens: 8 };
  using original = await Llava.load(device, fixture.folder, { dtype: "f16" });
  using model = await Llava.load(device, converted.folder, { dtype: "stored" });
  expect((await model.ask(question, options)).newIds).toEqual((await original.ask(question, options)).newIds);
});

describe("what is wrong is refused", () => {
  test("another dtype than the one that is stored", async () => {
    const converted = await convert(await hf("llama-f16")(), "q8");
    for (const dtype of ["f32", "f16", "q4"] as const) {
      await expect(LanguageModel.load(device, converted.folder, { dtype })).rejects.toMatchObject({
        code: "CHECKPOINT",
        found: "q8_0",
        message: expect.stringContaining("cannot be loaded as"),
      });
    }
    await expect(convert(converted.folder, "f16")).rejects.toMatchObject({ code: "CHECKPOINT" });
  });

  test("weights that others quantised", async () => {
    const converted = await convert(await hf("llama-f16")(), "q8");
    const file = path.join(converted.out, "config.json");
    const json = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...json, quantization_config: { quant_method: "gptq", bits: 4 } }));
    await expect(LanguageModel.load(device, converted.folder)).rejects.toMatchObject({
      code: "CONFIG",
      field: "quantization_config.quant_method",
      found: '"gptq"',
      expected: '"mask-llava"',
    });
  });

  test("a folder that is not empty, and nothing is left behind by a failure", async () => {
    const from = await hf("llama-f16")();
    const out = path.join(folder, "full");
    const controller = new AbortController();
    controller.abort();
    await expect(
      convertCheckpoint(device, from, "q8", out, { signal: controller.signal }),
    ).rejects.toMatchObject({
      code: "CANCELLED",
    });
    await convertCheckpoint(device, from, "q8", out);
    await expect(convertCheckpoint(device, from, "q8", out)).rejects.toMatchObject({
      code: "CHECKPOINT",
      file: out,
    });
    expect(readdirSync(folder).filter((name) => name.includes(".tmp"))).toEqual([]);
  });

  test("models of which nothing is quantised", async () => {
    await expect(convert(await hf("clip-gelu")(), "q4")).rejects.toMatchObject({
      code: "CONFIG",
      field: "model_type",
    });
  });
});
