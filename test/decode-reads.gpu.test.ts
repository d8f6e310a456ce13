import {
  type GenerateControls,
  type GenerationOptions,
  generate,
  generationSettings,
  LanguageModel,
  textSource,
} from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";
import { Fixture } from "./support/fixtures.ts";

let device: Device;
let model: LanguageModel;
let prompt: number[];
beforeAll(async () => {
  device = await openTestDevice();
  const fixture = await Fixture.open("llama-f16");
  model = await LanguageModel.load(device, fixture.folder);
  prompt = fixture.ids("input_ids");
});
afterAll(() => {
  model.dispose();
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

/** Penalised so much that no token comes twice. */
const varied = { doSample: false, repetitionPenalty: 20 };

/** An answer that ends with one of these tokens. Without `onText`, tokens are read a few at a time. */
async function answer(
  options: GenerationOptions,
  end: readonly number[] = [],
  controls: GenerateControls = {},
) {
  const settings = { ...generationSettings({ eos_token_id: [] }, {}, options), eosTokenIds: end };
  const source = textSource(model.network, prompt);
  return generate(device, model.network, model.tokenizer, source, settings, controls);
}

test("answers end at the same token, however many tokens are read at once", async () => {
  const options = { ...varied, maxNewTokens: 30 };
  const { newIds, text, finishReason } = await answer(options, [], { onText: () => {} });
  expect([newIds.length, finishReason]).toEqual([30, "length"]);
  expect(await answer(options)).toMatchObject({ newIds, text, finishReason });
  for (const most of [1, 10, 28]) {
    const limited = await answer({ ...varied, maxNewTokens: most });
    expect(limited.newIds).toEqual(newIds.slice(0, most));
  }
  // reads of four tokens begin with the twenty-sixth
  for (const at of [27, 28]) {
    const end = newIds[at] as number;
    expect(newIds.indexOf(end)).toBe(at);
    const ended = await answer(options, [end]);
    expect(ended).toMatchObject({ newIds: newIds.slice(0, at + 1), finishReason: "eos" });
  }
  const stop = text.slice(-6, -3);
  const stopped = await answer(options, [], { stop: [stop] });
  expect(stopped).toMatchObject({ text: text.slice(0, text.indexOf(stop)), finishReason: "stop" });
});

test("the context's end is no token further", async () => {
  const { newIds, finishReason } = await answer({ doSample: false, maxNewTokens: 1e6 });
  expect(prompt.length + newIds.length).toBe(model.config.max_position_embeddings);
  expect(finishReason).toBe("length");
});

test("an abort is seen where tokens are read", async () => {
  let asked = 0;
  const signal = {
    get aborted() {
      return ++asked > 20;
    },
  } as AbortSignal;
  const options = { ...varied, ignoreEos: true, maxNewTokens: 24 };
  const whole = await model.generate(prompt, options);
  const aborted = await model.generate(prompt, { ...options, signal });
  expect(aborted.finishReason).toBe("cancelled");
  expect(aborted.newIds.length).toBeLessThan(24);
  expect(aborted.newIds).toEqual(whole.newIds.slice(0, aborted.newIds.length));
});
