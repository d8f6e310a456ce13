import { type Generation, KvCache, LanguageModel } from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";
import { Fixture, relativeL2 } from "../support/fixtures.ts";

/** f32 against PyTorch's f32 on the same inputs: sums in another order, a few layers deep. */
const bound = 3e-4;
/** Weights and KV cache rounded to 11 bits; a wrong kernel is off by 1. */
const halfBound = 1e-2;

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

const greedy = { doSample: false, repetitionPenalty: 1 };

function sequence(g: Generation): number[] {
  return [...g.inputIds, ...g.newIds];
}

describe.each(["llama-gqa", "llama-tied-llama3", "llama-f16"])("%s", (name) => {
  let fixture: Fixture;
  let model: LanguageModel;
  beforeAll(async () => {
    fixture = await Fixture.open(name);
    model = await LanguageModel.load(device, fixture.folder);
  });
  afterAll(() => model.dispose());

  test("every layer and the logits of a prompt", async () => {
    const { shape, data } = fixture.expected("input_ids");
    using ids = device.tensor({ shape, dtype: "u32" }, Uint32Array.from(data));
    using start = device.tensor({ shape: [1], dtype: "u32" }, new Uint32Array(1));
    using cache = new KvCache(device, model.config, { capacity: data.length });
    const cmd = device.record("llama");
    const { network } = model;
    const { hiddenStates, lastHiddenState } = network.forward(cmd, network.embed(cmd, ids), cache, start);
    const logits = network.logits(cmd, lastHiddenState);
    using program = await cmd.finish({ outputs: [...hiddenStates, lastHiddenState, logits] });
    program.run();
    const layers = hiddenStates.length - 1;
    for (const [i, state] of hiddenStates.entries()) {
      const key = i < layers ? `hidden_states.${i}` : "last_block_output";
      expect(relativeL2(await program.read(state), fixture.floats(key)), key).toBeLessThan(bound);
    }
    const last = relativeL2(await program.read(lastHiddenState), fixture.floats(`hidden_states.${layers}`));
    expect(last).toBeLessThan(bound);
    expect(relativeL2(await program.read(logits), fixture.floats("logits"))).toBeLessThan(bound);
  });

  test("greedy sequences, with and without an end", async () => {
    const prompt = fixture.ids("input_ids");
    expect(model.tokenizer.encode(fixture.json.prompt)).toEqual(prompt);
    const maxNewTokens = fixture.json.max_new_tokens;
    let streamed = "";
    const onText = (piece: string) => {
      streamed += piece;
    };
    const ended = await model.generate(prompt, { ...greedy, maxNewTokens, onText });
    expect(sequence(ended)).toEqual(fixture.ids("sequences"));
    expect(ended.text).toBe(fixture.json.answer);
    expect(streamed).toBe(ended.text);
    const whole = await model.generate(prompt, { ...greedy, maxNewTokens, ignoreEos: true });
    expect(sequence(whole)).toEqual(fixture.ids("sequences_ignore_eos"));
    expect(whole.text).toBe(fixture.json.answer_ignore_eos);
    expect(whole.finishReason).toBe("length");
  });

  test("a repetition penalty, over prompt and new ids", async () => {
    const penalised = await model.generate(fixture.ids("input_ids"), {
      doSample: false,
      maxNewTokens: fixture.json.max_new_tokens,
      ignoreEos: true,
      repetitionPenalty: fixture.json.repetition_penalty,
    });
    expect(sequence(penalised)).toEqual(fixture.ids("sequences_repetition_penalty"));
  });

  test("a short prompt, and prompt logits in chunks equal to the whole", async () => {
    const ids = fixture.ids("short.input_ids");
    const options = { ...greedy, ignoreEos: true, maxNewTokens: fixture.json.max_new_tokens };
    const short = await model.generate(ids, { ...options, promptLogits: true });
    expect(sequence(short)).toEqual(fixture.ids("short.sequences_ignore_eos"));
    expect(relativeL2(short.promptLogits?.data ?? [], fixture.floats("short.logits"))).toBeLessThan(bound);
    const prompt = fixture.ids("input_ids");
    for (const prefillChunk of [1, 3, prompt.length - 1]) {
      const chunked = await model.generate(prompt, { ...options, prefillChunk, promptLogits: true });
      expect(sequence(chunked), `chunks of ${prefillChunk}`).toEqual(fixture.ids("sequences_ignore_eos"));
      expect(relativeL2(chunked.promptLogits?.data ?? [], fixture.floats("logits"))).toBeLessThan(bound);
    }
  });

  test("cached equals uncached: each new token is what the whole sequence before it gives", async () => {
    const ids = fixture.ids("sequences_ignore_eos");
    const prompt = fixture.ids("input_ids").length;
    for (const length of [prompt, prompt + 1, ids.length - 1]) {
      const next = await model.generate(ids.slice(0, length), {
        ...greedy,
        ignoreEos: true,
        maxNewTokens: 1,
      });
      expect(next.newIds).toEqual([ids[length]]);
    }
  });

  test("a decoded token costs one submit and at most one readback, and creates nothing", async () => {
    const counts = async (maxNewTokens: number, onText?: () => void) => {
      const calls = new Map<string, number>();
      const watch = (target: object, name: string) => {
        const original = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        const value = (...args: unknown[]) => {
          calls.set(name, (calls.get(name) ?? 0) + 1);
          return Reflect.apply(original, target, args);
        };
        Object.defineProperty(target, name, { configurable: true, value });
        return () => Reflect.deleteProperty(target, name);
      };
      const { gpuDevice } = device;
      const creators = [
        "createBuffer",
        "createBindGroup",
        "createComputePipelineAsync",
        "createShaderModule",
      ];
      const undo = [
        ...creators.map((name) => watch(gpuDevice, name)),
        watch(gpuDevice.queue, "submit"),
        watch(gpuDevice.queue, "writeBuffer"),
        watch(device, "readStaging"),
      ];
      try {
        await model.generate(fixture.ids("input_ids"), { ...greedy, ignoreEos: true, maxNewTokens, onText });
      } finally {
        for (const restore of undo) restore();
      }
      return calls;
    };
    const spend = async (tokens: number, onText?: () => void) => {
      // once before, as a pool has buffers by size class: from then on they are there
      for (const n of [tokens, tokens + 3]) await counts(n, onText);
      const [few, many] = [await counts(tokens, onText), await counts(tokens + 3, onText)];
      const more = [...many].map(([name, count]) => [name, count - (few.get(name) ?? 0)] as const);
      return { many, more: Object.fromEntries(more.filter(([, count]) => count > 0)) };
    };
    expect((await spend(4, () => {})).more).toEqual({ submit: 3, readStaging: 3 });
    const { many, more } = await spend(17);
    expect(more).toEqual({ submit: 3, readStaging: 1 }); // three tokens a read by then
    expect(many.get("createBindGroup")).toBeGreaterThan(0); // the watch does see
  });

  test("f16 weights and an f16 cache stay close", async () => {
    using half = await LanguageModel.load(device, fixture.folder, { dtype: "f16" });
    const answer = await half.generate(fixture.ids("input_ids"), {
      ...greedy,
      maxNewTokens: 4,
      cacheDtype: "f16",
      promptLogits: true,
    });
    expect(relativeL2(answer.promptLogits?.data ?? [], fixture.floats("logits"))).toBeLessThan(halfBound);
  });

  test("sampling is seeded, and stops at stop strings and at a signal", async () => {
    const prompt = fixture.ids("input_ids");
    const options = { doSample: true, temperature: 1, topK: 0, topP: 1, maxNewTokens: 12, ignoreEos: true };
    const [a, b, c] = [
      await model.generate(prompt, { ...options, seed: 5 }),
      await model.generate(prompt, { ...options, seed: 5 }),
      await model.generate(prompt, { ...options, seed: 6 }),
    ];
    expect(a.newIds).toEqual(b.newIds);
    expect(a.newIds).not.toEqual(c.newIds);
    const middle = a.text.slice(Math.floor(a.text.length / 2), Math.floor(a.text.length / 2) + 2);
    const stopped = await model.generate(prompt, { ...options, seed: 5, stop: [middle] });
    expect(stopped.finishReason).toBe("stop");
    expect(stopped.text).toBe(a.text.slice(0, a.text.indexOf(middle)));
    const controller = new AbortController();
    const cancelled = await model.generate(prompt, {
      ...options,
      seed: 5,
      signal: controller.signal,
      onText: () => controller.abort(),
    });
    expect(cancelled.finishReason).toBe("cancelled");
    expect(a.text.startsWith(cancelled.text.replace(/\ufffd+$/, ""))).toBe(true);
  });
});
