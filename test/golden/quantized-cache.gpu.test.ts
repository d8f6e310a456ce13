import { MaskLlava } from "@mask-llava/composer";
import { KvCache, type KvDType, kvDTypes, LanguageModel } from "@mask-llava/models";
import { decodeImage, FileFolder, WorkerTemplateRenderer } from "@mask-llava/models/node";
import type { Device } from "@mask-llava/runtime";
import { embeddedCheckpoint } from "mask-llava";
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

describe.each(["llama-gqa", "llama-tied-llama3", "llama-f16"])("%s", (name) => {
  /**
   * Both caches add noise to the same values, so that what it does to logits is in proportion: halves round in steps of 2^-10
   * of a value's power of two, 0.7 of the value on average, q8_0 in steps of a group's largest of 10 to 16 here, 1.6 to 1.8
   * deviations, over 127. That is 20 times as much.
   */
  test("bytes cost what their rounding is beside that of halves", async () => {
    const fixture = await Fixture.open(name);
    using model = await LanguageModel.load(device, fixture.folder);
    const logits = async (cacheDtype: KvDType) => {
      const options = { doSample: false, promptLogits: true, maxNewTokens: 1, cacheDtype };
      const { promptLogits } = await model.generate(fixture.ids("input_ids"), options);
      return promptLogits?.data ?? new Float32Array();
    };
    const full = await logits("f32");
    const ratio = relativeL2(await logits("q8"), full) / relativeL2(await logits("f16"), full);
    expect(ratio).toBeGreaterThan(10);
    expect(ratio).toBeLessThan(40);
  });

  test.each(kvDTypes)("a cache of %s takes the bytes that were told before", async (dtype) => {
    const fixture = await Fixture.open(name);
    using model = await LanguageModel.load(device, fixture.folder);
    const options = { capacity: 37, batch: 3, dtype };
    using cache = new KvCache(device, model.config, options);
    const taken = [...cache.keys, ...cache.values].reduce((sum, { storage }) => sum + storage.bytes, 0);
    expect(taken).toBe(KvCache.bytes(model.config, options));
  });
});

/** The embedded fixture's, as far as they are read here. */
interface Scene {
  readonly picture: string;
  readonly answers: readonly {
    readonly question: string;
    /** The least difference between the two best logits on the way to the answer. */
    readonly margin: number;
  }[];
}

describe("the embedded checkpoint with a cache of bytes", async () => {
  const fixture = await Fixture.open("embedded");
  const scenes: readonly Scene[] = fixture.json.scenes;
  const all = process.env.MASK_LLAVA_ALL_SCENES !== undefined;
  let model: MaskLlava;
  beforeAll(async () => {
    model = await MaskLlava.load(device, await FileFolder.open(embeddedCheckpoint), {
      templates: new WorkerTemplateRenderer(),
    });
  });
  afterAll(() => model?.dispose());

  test.each(all ? scenes : scenes.slice(0, 2))(
    "has the same greedy answers about $picture",
    async (scene) => {
      const picture = await decodeImage(fixture.file(scene.picture));
      for (const { question, margin } of all ? scene.answers : scene.answers.slice(0, 3)) {
        const ask = (cacheDtype: KvDType) =>
          model.ask(picture, question, { temperature: 0, promptLogits: true, cacheDtype });
        const [full, bytes] = [await ask("f32"), await ask("q8")];
        const [wanted, got] = [full, bytes].map(
          (answer) => answer.promptLogits?.data ?? new Float32Array(),
        ) as [Float32Array, Float32Array];
        // keys and values of 6 layers are off by half a hundredth each: what attention adds, by that times sqrt(12)
        expect(relativeL2(got, wanted)).toBeLessThan(0.005 * Math.sqrt(12));
        const moved = wanted.reduce((most, x, i) => Math.max(most, Math.abs(x - (got[i] as number))), 0);
        // the best two change places only where they are nearer than both can move
        if (margin > 2 * moved)
          expect({ question, ids: bytes.newIds }).toEqual({ question, ids: full.newIds });
      }
    },
  );
});
