import {
  type Folder,
  type GenerationOptions,
  LanguageModel,
  Llava,
  MemorySource,
  type PromptFamily,
  requireJson,
} from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import { type Device, Random } from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDeviceForTest, openTestDevice } from "../support/device.ts";
import { Fixture } from "../support/fixtures.ts";

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

const greedy = { doSample: false } as const;

/** Families of prompts of random ids: some share much, some nothing, one is alone, two are the same. */
function randomFamilies(vocabulary: number): PromptFamily[] {
  const r = new Random(11);
  const ids = (count: number) => Array.from({ length: count }, () => r.integer(3, vocabulary));
  const shared = ids(19);
  const [endA, endB] = [ids(3), ids(11)];
  return [
    {
      prompts: [
        [...shared, ...endA],
        [...shared, ...endB],
        [...shared, ...ids(1)],
        [...shared, ...endA],
      ],
    },
    { prompts: [ids(7), ids(2), ids(1), ids(13)] },
    { prompts: [ids(5)] },
    { prompts: [] },
    { prompts: Array.from({ length: 6 }, (_, i) => [5, 6, 7, ...ids(i + 1)]) },
  ];
}

describe.each(["llama-gqa", "llama-tied-llama3", "llama-f16"])("%s", (name) => {
  let fixture: Fixture;
  let model: LanguageModel;
  beforeAll(async () => {
    fixture = await Fixture.open(name);
    model = await LanguageModel.load(device, fixture.folder);
  });
  afterAll(() => model.dispose());

  test("prompts side by side get the reference's sequences", async () => {
    const prompts = [fixture.ids("input_ids"), fixture.ids("short.input_ids")];
    const options = { ...greedy, repetitionPenalty: 1, maxNewTokens: fixture.json.max_new_tokens };
    const { generations } = await model.continueAll([{ prompts }], { ...options, ignoreEos: true });
    const whole = generations[0]?.map(({ inputIds, newIds }) => [...inputIds, ...newIds]);
    expect(whole).toEqual([fixture.ids("sequences_ignore_eos"), fixture.ids("short.sequences_ignore_eos")]);
    const ended = await model.continueAll([{ prompts: prompts.slice(0, 1) }], options);
    expect(ended.generations[0]?.[0]?.text).toBe(fixture.json.answer);
  });

  // what batching does by itself, whatever the decoder
  const ofAnyDecoder: [string, GenerationOptions][] = [
    [
      "many tokens, so that sequences move to a larger slot",
      { ...greedy, maxNewTokens: 40, ignoreEos: true },
    ],
    ["a repetition penalty", { ...greedy, maxNewTokens: 9, repetitionPenalty: 1.3, ignoreEos: true }],
    ["tokens that are drawn", { maxNewTokens: 12, temperature: 1.5, topK: 30, seed: 5 }],
  ];
  test.each<[string, GenerationOptions & { cacheDtype?: "f16" | "q8" }]>([
    ["few tokens", { ...greedy, maxNewTokens: 3 }],
    ...(name === "llama-gqa" ? ofAnyDecoder : []),
    ["a cache of halves", { ...greedy, maxNewTokens: 12, cacheDtype: "f16" }],
    ["a cache of bytes", { ...greedy, maxNewTokens: 12, cacheDtype: "q8" }],
  ])("every answer is what a prompt gets alone: %s", async (_, options) => {
    const families = randomFamilies(model.config.vocab_size);
    const { generations, timings } = await model.continueAll(families, options);
    expect(generations.map(({ length }) => length)).toEqual(families.map(({ prompts }) => prompts.length));
    for (const [f, { prompts }] of families.entries()) {
      for (const [p, prompt] of prompts.entries()) {
        const { inputIds, newIds, text, finishReason } = await model.generate(prompt, options);
        expect(generations[f]?.[p], `${f}.${p}`).toEqual({ inputIds, newIds, text, finishReason });
      }
    }
    expect(timings.prefill).toBeGreaterThan(0);
  });
});

describe("a small budget of memory", () => {
  test("is kept to by answering in rounds, with the same answers", async () => {
    const fixture = await Fixture.open("llama-gqa");
    const options = { ...greedy, maxNewTokens: 10, ignoreEos: true };
    const families = randomFamilies(200);
    const answers = async (on: Device) => {
      using model = await LanguageModel.load(on, fixture.folder);
      const { generations } = await model.continueAll(families, options);
      return generations.map((family) => family.map(({ newIds }) => newIds));
    };
    using probe = await LanguageModel.load(device, fixture.folder);
    const weights = device.memory().live;
    probe.dispose();
    const tight = await openDeviceForTest({ memoryBudget: weights + 1.5 * 2 ** 20 });
    expect(await answers(tight)).toEqual(await answers(device));
    expect(tight.buffers.live()).toEqual([]);
  });
});

describe("llava-default", () => {
  test("prompts about one picture get the answers that each gets alone", async () => {
    const fixture = await Fixture.open("llava-default");
    using model = await Llava.load(device, fixture.folder);
    const picture = await decodeImage(fixture.file(fixture.json.pictures[0] as string));
    const questions = ["What is it?", "What colour is the dog on the wall?", "How many?"];
    const prompts = await model.promptsFor(questions, 1);
    prompts.push("Before <image> behind", "<image>");
    const options = { ...greedy, maxNewTokens: 7, ignoreEos: true };
    const { answers, visualTokens } = await model.askAll(picture, prompts, options);
    for (const [i, prompt] of prompts.entries()) {
      const alone = await model.ask({ pictures: [picture], prompt }, options);
      const { inputIds, newIds, text, finishReason } = alone;
      expect(answers[i]).toEqual({ inputIds, newIds, text, finishReason });
      expect(visualTokens).toBe(alone.visualTokens);
    }
    await expect(model.askAll(picture, ["no mark"], options)).rejects.toMatchObject({ code: "PROMPT" });
    await expect(
      model.askAll(picture, prompts, { ...options, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "CANCELLED" });
  });

  test("the image id may lie beyond the vocabulary, as in GGUF files of decoders that have none", async () => {
    const fixture = await Fixture.open("llava-default");
    using model = await Llava.load(device, await withImageIdBeyond(fixture.folder));
    const { imageTokenId, text_config } = model.config;
    expect(imageTokenId).toBe(text_config.vocab_size);
    const picture = await decodeImage(fixture.file(fixture.json.pictures[0] as string));
    const prompts = await model.promptsFor(["What is it?", "How many?"], 1);
    const options = { ...greedy, maxNewTokens: 4, ignoreEos: true };
    const { answers } = await model.askAll(picture, prompts, options);
    for (const [i, prompt] of prompts.entries()) {
      const alone = await model.ask({ pictures: [picture], prompt }, options);
      expect(answers[i]).toMatchObject({ inputIds: alone.inputIds, newIds: alone.newIds });
    }
    const text = { prompts: [[1, imageTokenId, 5]], imageTokenId };
    using decoder = await LanguageModel.load(device, fixture.folder);
    await expect(decoder.continueAll([text], options)).rejects.toMatchObject({ code: "PROMPT" });
  });
});

/** A LLaVA folder whose `<image>` follows the last id that the decoder has an embedding for. */
async function withImageIdBeyond(folder: Folder): Promise<Folder> {
  const changed = new Map<string, Uint8Array>();
  const change = async (name: string, edit: (json: Record<string, unknown>) => object) => {
    const json = (await requireJson(folder, name)) as Record<string, unknown>;
    changed.set(name, new TextEncoder().encode(JSON.stringify({ ...json, ...edit(json) })));
  };
  let id = 0;
  await change("config.json", ({ text_config }) => {
    id = (text_config as { vocab_size: number }).vocab_size;
    return { image_token_index: id };
  });
  await change("tokenizer.json", ({ added_tokens }) => ({
    added_tokens: (added_tokens as { content: string }[]).map((token) =>
      token.content === "<image>" ? { ...token, id } : token,
    ),
  }));
  const open = async (name: string) => {
    const bytes = changed.get(name);
    return bytes ? new MemorySource(name, bytes) : folder.open(name);
  };
  return { name: folder.name, open };
}
