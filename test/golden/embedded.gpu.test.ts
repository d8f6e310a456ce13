import { type FoundObject, MaskLlava } from "@mask-llava/composer";
import { decodeImage, FileFolder, WorkerTemplateRenderer } from "@mask-llava/models/node";
import type { Device } from "@mask-llava/runtime";
import { decodeRle, embeddedCheckpoint, type Rle } from "mask-llava";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";
import { Fixture, relativeL2 } from "../support/fixtures.ts";

/**
 * The embedded checkpoint against PyTorch and transformers on 50 test scenes, from the picture to the greedy answer
 * (`training/agree.py` made the fixture). Five of them on every run; all with MASK_LLAVA_ALL_SCENES=1.
 */
interface Scene {
  readonly id: string;
  readonly picture: string;
  readonly tokens: number;
  readonly masks: readonly Rle[];
  readonly answers: readonly {
    readonly question: string;
    readonly expected: string;
    readonly text: string;
    /** The least difference between the two best logits on the way. */
    readonly margin: number;
  }[];
}

/** Logits of both sides differ by up to 1e-4: where the best two are nearer than this, either may win. */
const leastMargin = 1e-3;

const fixture = await Fixture.open("embedded");
const scenes: readonly Scene[] = fixture.json.scenes;
const few = process.env.MASK_LLAVA_ALL_SCENES === undefined;

let device: Device;
let model: MaskLlava;
beforeAll(async () => {
  device = await openTestDevice();
  model = await MaskLlava.load(device, await FileFolder.open(embeddedCheckpoint), {
    templates: new WorkerTemplateRenderer(),
  });
});
afterAll(() => {
  model?.dispose();
  expect(device?.buffers.live()).toEqual([]);
  device?.dispose();
});

describe.each(few ? scenes.slice(0, 5) : scenes)("scene $id", (scene) => {
  const index = scenes.indexOf(scene);
  const expected = (name: string) => fixture.floats(`${index}.${name}`);

  test("has the same boxes, masks and tokens", async () => {
    const composed = await model.compose(await decodeImage(fixture.file(scene.picture)));
    const found = composed.objects.filter(({ kind }) => kind === "object");
    expect(found.length).toBe(scene.masks.length);
    // pixels of 96: a box is a sigmoid of sums over three refinements, each to about 1e-5
    expect(
      furthest(
        found.flatMap(({ box }) => [...box]),
        expected("boxes"),
      ),
    ).toBeLessThan(0.02);
    expect(
      furthest(
        found.map(({ score }) => score),
        expected("scores"),
      ),
    ).toBeLessThan(1e-3);
    for (const [i, rle] of scene.masks.entries()) {
      expect(maskIou(found[i] as FoundObject, rle)).toBeGreaterThan(0.99);
    }
    expect(composed.kinds.length).toBe(scene.tokens);
    expect(relativeL2(composed.visualEmbeds.data, expected("visual_embeds"))).toBeLessThan(3e-3);
  });

  test("has the same greedy answers", async () => {
    const picture = await decodeImage(fixture.file(scene.picture));
    for (const { question, text, margin } of scene.answers) {
      if (margin < leastMargin) continue;
      const answer = await model.ask(picture, question, { temperature: 0 });
      expect({ question, text: answer.text.trim() }).toEqual({ question, text });
    }
  });
});

// the model card says how often it is right; chance is about 0.35
test("most answers are right, so that these scenes show what the checkpoint knows", () => {
  const answers = scenes.flatMap((scene) => scene.answers);
  const right = answers.filter(({ expected, text }) => text === expected).length;
  expect(right / answers.length).toBeGreaterThan(0.9);
});

function furthest(actual: readonly number[], expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] as number))), 0);
}

function maskIou({ mask }: FoundObject, rle: Rle): number {
  const other = decodeRle(rle).data;
  let [both, either] = [0, 0];
  for (const [i, value] of mask.data.entries()) {
    if (value && other[i]) both++;
    if (value || other[i]) either++;
  }
  return both / either;
}
