import { GgufFolder, LanguageModel, Llava, type LoadDType } from "@mask-llava/models";
import { decodeImage, FileFolder } from "@mask-llava/models/node";
import type { Device } from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";
import { Fixture, fixturePath, relativeL2 } from "../support/fixtures.ts";

/** As for the checkpoints that the files were made of: f32 against PyTorch's f32, a few layers deep. */
const bound = 3e-4;
/** Weights rounded to f16, or multiplied by activations in 8 bits. */
const looseBound = 3e-2;

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

const greedy = { doSample: false, repetitionPenalty: 1 };

async function open(folder: string, file: string, mmproj?: string): Promise<GgufFolder> {
  const place = { folder: await FileFolder.open(fixturePath(folder)) };
  return GgufFolder.open({ ...place, file }, { mmproj: mmproj ? { ...place, file: mmproj } : undefined });
}

describe.each([
  ["llama-gqa.gguf", "llama-gqa"],
  ["llama-tied-llama3.gguf", "llama-tied-llama3"],
  ["llama-f16-00001-of-00003.gguf", "llama-f16"],
])("%s answers as its checkpoint", (file, name) => {
  test("logits of a prompt and greedy sequences", async () => {
    const fixture = await Fixture.open(name);
    using model = await LanguageModel.load(device, await open("gguf-converted", file), { dtype: "f32" });
    const ids = model.tokenizer.encode(fixture.json.prompt);
    const options = { ...greedy, maxNewTokens: fixture.json.max_new_tokens };
    const ended = await model.generate(ids, { ...options, promptLogits: true });
    expect(relativeL2(ended.promptLogits?.data ?? [], fixture.floats("logits"))).toBeLessThan(bound);
    expect([...ended.inputIds, ...ended.newIds]).toEqual(fixture.ids("sequences"));
    expect(ended.text).toBe(fixture.json.answer);
    const whole = await model.generate(ids, { ...options, ignoreEos: true });
    expect([...whole.inputIds, ...whole.newIds]).toEqual(fixture.ids("sequences_ignore_eos"));
  });
});

const blocks = ["gguf-blocks/q8_0", "gguf-blocks/q4_0", "gguf-blocks/q4_1", "gguf-blocks/q5"];
const superBlocks = ["gguf-super-blocks/q4_k_m", "gguf-super-blocks/q5_k"];

describe.each([...blocks, ...superBlocks])("%s", (path) => {
  const [folder = "", file = ""] = path.split("/");

  test.each(["f32", "f16", "stored"] as const)(
    "answers as its blocks' values do, held as %s",
    async (dtype) => {
      const fixture = await Fixture.open(folder);
      using model = await LanguageModel.load(device, await open(folder, `${file}.gguf`), { dtype });
      const ids = model.tokenizer.encode(fixture.json.prompt);
      expect(ids).toEqual(fixture.ids("input_ids"));
      const options = { ...greedy, maxNewTokens: fixture.json.max_new_tokens };
      const ended = await model.generate(ids, { ...options, promptLogits: true });
      const last = ended.promptLogits?.data.slice(-model.config.vocab_size) ?? [];
      const error = relativeL2(last, fixture.floats(`${file}.last_logits`));
      expect(error).toBeLessThan(dtype === "f32" ? bound : looseBound);
      expect([...ended.inputIds, ...ended.newIds]).toEqual(fixture.ids(`${file}.sequences`));
      expect(ended.text).toBe(fixture.json.files[file].answer);
      const whole = await model.generate(ids, { ...options, ignoreEos: true });
      expect([...whole.inputIds, ...whole.newIds]).toEqual(fixture.ids(`${file}.sequences_ignore_eos`));
    },
  );

  test.each(["q8", "q4"] as const)("is quantised anew where it must be, as %s", async (dtype: LoadDType) => {
    const fixture = await Fixture.open(folder);
    using model = await LanguageModel.load(device, await open(folder, `${file}.gguf`), { dtype });
    const answer = await model.generate(fixture.ids("input_ids"), {
      ...greedy,
      maxNewTokens: 1,
      promptLogits: true,
    });
    const last = answer.promptLogits?.data.slice(-model.config.vocab_size) ?? [];
    const error = relativeL2(last, fixture.floats(`${file}.last_logits`));
    // 8 bits leave half a percent in each of some ten matrices, which layers amplify; 4 bits sixteen times that
    expect(error).toBeLessThan(dtype === "q8" ? 2 * looseBound : 0.7);
  });
});

describe("LLaVA of two files", () => {
  test("a picture and a question to the reference's ids, logits and answer", async () => {
    const fixture = await Fixture.open("llava-older");
    const folder = await open("gguf-converted", "llava-older.gguf", "mmproj-llava-older.gguf");
    using model = await Llava.load(device, folder, { dtype: "f32" });
    const pictures = await Promise.all(
      (fixture.json.pictures as string[]).map((f) => decodeImage(fixture.file(f))),
    );
    const question = { pictures, prompt: fixture.json.prompt, addSpecialTokens: true };
    const options = { ...greedy, maxNewTokens: fixture.json.max_new_tokens };
    const answer = await model.ask(question, { ...options, promptLogits: true, imageFeatures: true });
    expect(answer.inputIds).toEqual(fixture.ids("input_ids"));
    expect([...(answer.pictures[0]?.pixelValues ?? [])]).toEqual([...fixture.floats("pixel_values")]);
    expect(relativeL2(answer.imageFeatures?.data ?? [], fixture.floats("image_features"))).toBeLessThan(
      bound,
    );
    expect(relativeL2(answer.promptLogits?.data ?? [], fixture.floats("logits"))).toBeLessThan(bound);
    expect([...answer.inputIds, ...answer.newIds]).toEqual(fixture.ids("sequences"));
  });

  test("several feature layers, today's names, no padding", async () => {
    const fixture = await Fixture.open("llava-layers");
    const folder = await open("gguf-converted", "llava-layers.gguf", "mmproj-llava-layers.gguf");
    using model = await Llava.load(device, folder, { dtype: "f32" });
    const picture = await decodeImage(fixture.file(fixture.json.pictures[0]));
    const answer = await model.ask(
      { pictures: [picture], prompt: fixture.json.prompt },
      { ...greedy, maxNewTokens: 1, imageFeatures: true },
    );
    expect([...(answer.pictures[0]?.pixelValues ?? [])]).toEqual([...fixture.floats("pixel_values")]);
    expect(relativeL2(answer.imageFeatures?.data ?? [], fixture.floats("image_features"))).toBeLessThan(
      bound,
    );
  });
});
