import { Llava } from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import type { Device } from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";
import { Fixture, relativeL2 } from "../support/fixtures.ts";

/** f32 against PyTorch's f32 on the same inputs: sums in another order, a few layers deep. */
const bound = 3e-4;

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

const greedy = { doSample: false, repetitionPenalty: 1 };

describe.each(["llava-default", "llava-full", "llava-layers", "llava-older"])("%s", (name) => {
  let fixture: Fixture;
  let model: Llava;
  beforeAll(async () => {
    fixture = await Fixture.open(name);
    model = await Llava.load(device, fixture.folder);
  });
  afterAll(() => model.dispose());

  const pictures = (files: readonly string[]) => Promise.all(files.map((f) => decodeImage(fixture.file(f))));

  test("every vision layer and the features behind the projector", async () => {
    const { shape, data } = fixture.expected("pixel_values");
    using pixels = device.tensor({ shape, dtype: "f32" }, data);
    const cmd = device.record("llava vision");
    const { hiddenStates } = model.network.vision.forward(cmd, pixels);
    const features = model.network.imageFeatures(cmd, pixels);
    using program = await cmd.finish({ outputs: [...hiddenStates, features] });
    program.run();
    for (const [i, state] of hiddenStates.entries()) {
      const error = relativeL2(await program.read(state), fixture.floats(`vision.hidden_states.${i}`));
      expect(error, `layer ${i}`).toBeLessThan(bound);
    }
    expect(relativeL2(await program.read(features), fixture.floats("image_features"))).toBeLessThan(bound);
  });

  test("a picture file and a prompt to the reference's ids, logits and answer", async () => {
    const question = {
      pictures: await pictures(fixture.json.pictures),
      prompt: fixture.json.prompt,
      addSpecialTokens: true,
    };
    const options = { ...greedy, maxNewTokens: fixture.json.max_new_tokens };
    const answer = await model.ask(question, { ...options, promptLogits: true, imageFeatures: true });
    expect(answer.inputIds).toEqual(fixture.ids("input_ids"));
    expect([...(answer.pictures[0]?.pixelValues ?? [])]).toEqual([...fixture.floats("pixel_values")]);
    expect(relativeL2(answer.imageFeatures?.data ?? [], fixture.floats("image_features"))).toBeLessThan(
      bound,
    );
    expect(relativeL2(answer.promptLogits?.data ?? [], fixture.floats("logits"))).toBeLessThan(bound);
    expect([...answer.inputIds, ...answer.newIds]).toEqual(fixture.ids("sequences"));
    expect(answer.text).toBe(fixture.json.answer);
    const whole = await model.ask(question, { ...options, ignoreEos: true, prefillChunk: 7 });
    expect([...whole.inputIds, ...whole.newIds]).toEqual(fixture.ids("sequences_ignore_eos"));
    expect(whole.text).toBe(fixture.json.answer_ignore_eos);
  });

  test("two pictures in a prompt", async () => {
    const { two } = fixture.json;
    const question = { pictures: await pictures(two.pictures), prompt: two.prompt, addSpecialTokens: true };
    const options = { ...greedy, maxNewTokens: fixture.json.max_new_tokens, ignoreEos: true };
    const answer = await model.ask(question, { ...options, promptLogits: true, imageFeatures: true });
    expect(answer.inputIds).toEqual(fixture.ids("two.input_ids"));
    expect(relativeL2(answer.imageFeatures?.data ?? [], fixture.floats("two.image_features"))).toBeLessThan(
      bound,
    );
    const last = answer.promptLogits?.data.slice(-model.config.text_config.vocab_size) ?? [];
    expect(relativeL2(last, fixture.floats("two.last_logits"))).toBeLessThan(bound);
    expect([...answer.inputIds, ...answer.newIds]).toEqual(fixture.ids("two.sequences_ignore_eos"));
  });

  test("a prompt with more marks than pictures, or fewer, is refused", async () => {
    const [picture] = await pictures(fixture.json.pictures);
    if (!picture) throw new Error("no picture");
    for (const [count, prompt] of [
      [1, "no mark"],
      [1, "<image> <image>"],
      [0, "<image>"],
    ] as const) {
      const question = { pictures: Array(count).fill(picture), prompt };
      await expect(model.ask(question)).rejects.toMatchObject({ code: "PROMPT" });
    }
  });
});
