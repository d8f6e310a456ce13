import { Clip, ClipEncoder } from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import type { Device, Tensor } from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";
import { Fixture, relativeL2 } from "../support/fixtures.ts";

/** f32 against PyTorch's f32 on the same inputs: sums in another order, a few layers deep. */
const bound = 3e-4;
/** Weights rounded to 11 bits, in a few layers; measured 5e-4, and a wrong kernel is off by 1. */
const halfBound = 5e-3;

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

describe.each(["clip-quick-gelu", "clip-gelu"])("%s", (name) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.open(name);
  });

  test("every vision layer, the pooled output and the embedding", async () => {
    using clip = await Clip.load(device, fixture.folder);
    const { shape, data } = fixture.expected("pixel_values");
    using pixels = device.tensor({ shape, dtype: "f32" }, data);
    const cmd = device.record("clip vision");
    const { hiddenStates, lastHiddenState } = clip.vision.forward(cmd, pixels);
    const pooled = clip.vision.pool(cmd, lastHiddenState);
    const embeds = clip.imageEmbeds(cmd, pooled);
    using program = await cmd.finish({ outputs: [...hiddenStates, pooled, embeds] });
    program.run();
    for (const [i, state] of hiddenStates.entries()) {
      const error = relativeL2(await program.read(state), fixture.floats(`vision.hidden_states.${i}`));
      expect(error, `layer ${i}`).toBeLessThan(bound);
    }
    expect(relativeL2(await program.read(pooled), fixture.floats("pooler_output"))).toBeLessThan(bound);
    expect(relativeL2(await program.read(embeds), fixture.floats("image_embeds"))).toBeLessThan(bound);
  });

  test.each(["larger", "smaller"])("a %s image, with resampled positions", async (size) => {
    using clip = await Clip.load(device, fixture.folder);
    const { shape, data } = fixture.expected(`${size}.pixel_values`);
    using pixels = device.tensor({ shape, dtype: "f32" }, data);
    const cmd = device.record("clip vision");
    expect(() => clip.vision.forward(cmd, pixels)).toThrow(/resampling was not asked for/);
    const { hiddenStates, lastHiddenState } = clip.vision.forward(cmd, pixels, {
      resample: { antialias: false },
    });
    const embedded = hiddenStates[0] as Tensor;
    const pooled = clip.vision.pool(cmd, lastHiddenState);
    using program = await cmd.finish({ outputs: [embedded, lastHiddenState, pooled] });
    program.run();
    for (const [key, tensor] of [
      ["vision.hidden_states.0", embedded],
      ["last_hidden_state", lastHiddenState],
      ["pooler_output", pooled],
    ] as const) {
      expect(relativeL2(await program.read(tensor), fixture.floats(`${size}.${key}`)), key).toBeLessThan(
        bound,
      );
    }
  });

  test("every text layer, pooled and projected", async () => {
    using clip = await Clip.load(device, fixture.folder);
    const { shape, data } = fixture.expected("input_ids");
    const [texts, length] = shape as [number, number];
    const rows = Array.from({ length: texts }, (_, i) => [...data.subarray(i * length, (i + 1) * length)]);
    const ends = clip.text.endPositions(rows).map((end, row) => row * length + end);
    using ids = device.tensor({ shape, dtype: "u32" }, Uint32Array.from(data));
    using endRows = device.tensor({ shape: [texts], dtype: "u32" }, Uint32Array.from(ends));
    const cmd = device.record("clip text");
    const { hiddenStates, lastHiddenState, pooled } = clip.text.forward(cmd, ids, endRows);
    const embeds = clip.textEmbeds(cmd, pooled);
    using program = await cmd.finish({ outputs: [...hiddenStates, lastHiddenState, pooled, embeds] });
    program.run();
    const mask = fixture.expected("attention_mask").data;
    const visible = (values: ArrayLike<number>) => {
      const width = values.length / mask.length;
      return Array.from(values).filter((_, i) => mask[Math.floor(i / width)] === 1);
    };
    for (const [i, state] of hiddenStates.entries()) {
      const error = relativeL2(
        visible(await program.read(state)),
        visible(fixture.floats(`text.hidden_states.${i}`)),
      );
      expect(error, `layer ${i}`).toBeLessThan(bound);
    }
    const last = relativeL2(
      visible(await program.read(lastHiddenState)),
      visible(fixture.floats("text.last_hidden_state")),
    );
    expect(last).toBeLessThan(bound);
    expect(relativeL2(await program.read(pooled), fixture.floats("text.pooler_output"))).toBeLessThan(bound);
    expect(relativeL2(await program.read(embeds), fixture.floats("text_embeds"))).toBeLessThan(bound);
  });

  test("from picture files and texts to probabilities, and f16 weights stay close", async () => {
    for (const [dtype, within] of [
      ["f32", bound],
      ["f16", halfBound],
    ] as const) {
      using encoder = await ClipEncoder.load(device, fixture.folder, { dtype });
      const texts = await encoder.encodeTexts(fixture.json.texts);
      expect([...texts.inputIds.data]).toEqual(fixture.ids("input_ids"));
      expect(relativeL2(texts.textEmbeds, fixture.floats("text_embeds"))).toBeLessThan(within);
      for (const [file, prefix] of [
        [fixture.json.picture, ""],
        [fixture.json.second_picture, "second."],
      ]) {
        const image = await encoder.encodeImage(await decodeImage(fixture.file(file)));
        expect([...image.processed.pixelValues]).toEqual([...fixture.floats(`${prefix}pixel_values`)]);
        expect(relativeL2(image.imageEmbeds, fixture.floats(`${prefix}image_embeds`))).toBeLessThan(within);
        const probs = await encoder.probabilities(image, texts);
        expect(relativeL2(probs, fixture.floats(`${prefix}probs`))).toBeLessThan(10 * within); // logits are scaled by up to 20
      }
    }
  });
});
