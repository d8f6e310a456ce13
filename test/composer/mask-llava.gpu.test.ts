import { type Composed, type ComposeOptions, dropPolicies, MaskLlava } from "@mask-llava/composer";
import { type Folder, type Pixels, pixels, TensorIndex } from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import { activationReference, type Device, Random } from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";
import { Fixture, relativeL2 } from "../support/fixtures.ts";
import { tinyMaskLlava } from "../support/mask-llava-folder.ts";

let device: Device;
let picture: Pixels;
beforeAll(async () => {
  device = await openTestDevice();
  picture = await decodeImage((await Fixture.open("sam-window-divides")).file("picture.png"));
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

const pooled = { object_tokens: "mask_pool" };
const hidden = { widths: { hidden: 30, object: 30, decoder: 30 } };

function rows({ shape, data }: Composed["visualTokens"]): Float32Array[] {
  const [count, width] = shape as [number, number];
  return Array.from({ length: count }, (_, i) => data.slice(i * width, (i + 1) * width));
}

function norm(row: ArrayLike<number>): number {
  return Math.hypot(...Array.from(row));
}

describe("composition", () => {
  let model: MaskLlava;
  let all: Composed;
  beforeAll(async () => {
    model = await MaskLlava.load(device, await tinyMaskLlava({ settings: pooled, ...hidden }));
    all = await model.compose(picture);
  });
  afterAll(() => model.dispose());

  test("kinds come in order, one row each, before and behind the projector", () => {
    const objects = all.objects.length - 1;
    expect(objects).toBeGreaterThan(1);
    expect(all.kinds).toEqual([
      "cls",
      ...Array(9).fill("patch"),
      ...Array(objects).fill("object"),
      "background",
    ]);
    expect(all.visualTokens.shape).toEqual([all.kinds.length, 30]);
    expect(all.visualEmbeds.shape).toEqual([all.kinds.length, 30]);
    expect(all.visualEmbeds.data.every(Number.isFinite)).toBe(true);
    expect(all.objects.at(-1)?.kind).toBe("background");
    const scores = all.objects.slice(0, -1).map((o) => o.score);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
  });

  test("[CLS] and objects have the mean norm of the picture's patches", async () => {
    const whole = await model.compose(picture, { patchGrid: all.grid });
    const tokens = rows(whole.visualTokens);
    const norms = tokens.filter((_, i) => whole.kinds[i] === "patch").map(norm);
    const mean = norms.reduce((a, b) => a + b) / norms.length;
    tokens.forEach((row, i) => {
      const empty = whole.objects[whole.tokenObjects[i] ?? -1]?.area === 0;
      if (whole.kinds[i] !== "patch") expect(norm(row) / mean).toBeCloseTo(empty ? 0 : 1, 4);
    });
  });

  test("every budget keeps exactly so many tokens by every policy, and the same rows as the full set", async () => {
    const full = rows(all.visualTokens);
    for (const dropPolicy of dropPolicies) {
      for (const tokens of [1, 2, 5, 9, 10, 11, all.kinds.length - 1, all.kinds.length]) {
        const some = await model.compose(picture, { tokens, dropPolicy, dropSeed: 3 });
        expect(some.visualTokens.shape[0]).toBe(tokens);
        expect(some.remembered).toBe(true);
        rows(some.visualTokens).forEach((row, i) => {
          const object = some.tokenObjects[i] as number;
          if (object >= 0)
            expect(relativeL2(row, full[all.tokenObjects.indexOf(object)] ?? [])).toBeLessThan(1e-6);
        });
      }
    }
    const whole = await model.compose(picture, { tokens: all.kinds.length });
    expect(whole.visualEmbeds).toEqual(all.visualEmbeds);
  });

  test.each<[ComposeOptions, RegExp]>([
    [{ tokens: 0 }, /at least 1/],
    [{ tokens: 1000 }, /there are \d+: 1 \[CLS\], 9 patches/],
    [{ objects: 50 }, /50 object tokens were asked for/],
    [{ patchGrid: { rows: 6, columns: 1 } }, /6x1; it must lie between 1x1 and the vision tower's 5x5/],
    [{ boxes: [[0, 0, 5, Number.NaN]] }, /box 0 is 0,0,5,NaN/],
    [{ boxes: [[9, 0, 5, 5]] }, /box 0 is 9,0,5,5/],
    [
      {
        boxes: [
          [0, 0, 5, 5],
          [0, 0, 5000, 5],
        ],
      },
      /box 1 .* within the picture/,
    ],
    [{ masks: [{ width: 2, height: 2, data: new Uint8Array(4) }] }, /mask 0 is 2x2, the picture/],
    [{ cls: false, patchGrid: { rows: 1, columns: 1 }, tokens: 60 }, /there are/],
  ])("%j is refused", async (options, message) => {
    await expect(model.compose(picture, options)).rejects.toThrow(message);
  });

  test("given boxes and masks replace the detector; odd masks give finite tokens", async () => {
    const { width, height } = picture;
    const mask = (fill: (i: number) => number) => ({
      width,
      height,
      data: Uint8Array.from({ length: width * height }, (_, i) => fill(i)),
    });
    const masks = [mask(() => 1), mask(() => 0), mask((i) => (i === 777 ? 1 : 0)), mask((i) => i % 2)];
    const composed = await model.compose(picture, { masks });
    expect(composed.objects.length).toBe(5);
    expect(composed.visualEmbeds.data.every(Number.isFinite)).toBe(true);
    const permuted = await model.compose(picture, { masks: [...masks].reverse() });
    const [a, b] = [rows(composed.visualTokens), rows(permuted.visualTokens)];
    for (let i = 0; i < 4; i++) expect(b[13 - i]).toEqual(a[10 + i]);
    const boxed = await model.compose(picture, { boxes: [[1, 1, 20, 20]] });
    expect(boxed.objects.map((o) => o.kind)).toEqual(["object", "background"]);
  });

  test("an answer streams, is seeded, and a second question costs no image work", async () => {
    let streamed = "";
    const options = { doSample: false, maxNewTokens: 6, ignoreEos: true, tokens: 8 };
    const answer = await model.ask(picture, "What is in the picture?", {
      ...options,
      onText: (piece) => {
        streamed += piece;
      },
    });
    expect(answer.newIds.length).toBe(6);
    expect(streamed).toBe(answer.text);
    const id = model.language.tokenizer.tokenId("<image>");
    expect(answer.inputIds.filter((i) => i === id).length).toBe(8);
    const again = await Promise.all([
      model.ask(picture, "What is in the picture?", options),
      model.ask(picture, "How many?", options),
    ]);
    expect(again[0].newIds).toEqual(answer.newIds);
    expect(again[1].composed.remembered).toBe(true);
  });

  test("questions within several budgets get the answers that each gets alone", async () => {
    const options = { doSample: false, maxNewTokens: 5, ignoreEos: true };
    const requests = [
      { questions: ["What is in the picture?", "How many?"] },
      { questions: ["How many dogs are there on the wall?"], tokens: 4, dropPolicy: "area" as const },
      { questions: ["What is it?", "?"], patches: false, cls: false },
      // the same tokens as the first
      { questions: ["What is it?", "How many?"], tokens: 999, shortage: "take-all" as const },
      { questions: [] },
    ];
    const asked = await Promise.all(
      requests.map(async ({ questions, ...budget }) => ({
        ...budget,
        prompts: await model.promptsFor(questions),
      })),
    );
    const { replies, timings } = await model.askAll(picture, asked, options);
    for (const [r, { questions, ...budget }] of requests.entries()) {
      const { composed, answers } = replies[r] as (typeof replies)[number];
      expect(answers.length).toBe(questions.length);
      for (const [q, question] of questions.entries()) {
        const alone = await model.ask(picture, question, { ...budget, ...options });
        const { inputIds, newIds, text, finishReason } = alone;
        expect(answers[q]).toMatchObject({ inputIds, newIds, text, finishReason });
        expect(composed.kinds).toEqual(alone.composed.kinds);
      }
    }
    expect(Object.values(timings).every((ms) => ms >= 0)).toBe(true);
    await expect(
      model.askAll(picture, asked, { ...options, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "CANCELLED" });
  });

  test("many pictures and asks do not grow memory", async () => {
    const r = new Random(8);
    const noise = () =>
      pixels(
        20,
        31,
        3,
        Uint8Array.from({ length: 20 * 31 * 3 }, () => r.integer(0, 256)),
      );
    const options = { boxes: [[2, 2, 12, 12]] as const, tokens: 4, doSample: false, maxNewTokens: 2 };
    for (let i = 0; i < 12; i++) await model.ask(noise(), "?", options as never);
    const before = device.memory();
    for (let i = 0; i < 12; i++) await model.ask(noise(), "?", options as never);
    expect(device.memory()).toMatchObject({ live: before.live, buffers: before.buffers });
    expect(device.memory().cached).toBeLessThanOrEqual(before.cached * 1.05);
  });
});

test("norms may be learned or left alone, and one projector serves tokens of one width", async () => {
  const results: Composed[] = [];
  for (const settings of [
    { norm_scaling: "none" },
    { norm_scaling: "learned" },
    { projector: "shared", order: ["background", "objects", "patches", "cls"] },
  ]) {
    using model = await MaskLlava.load(
      device,
      await tinyMaskLlava({ settings: { ...pooled, ...settings }, ...hidden }),
    );
    results.push(await model.compose(picture));
  }
  const [none, learned, shared] = results as [Composed, Composed, Composed];
  const ratio = norm(rows(learned.visualTokens)[0] ?? []) / norm(rows(none.visualTokens)[0] ?? []);
  expect(ratio).toBeGreaterThan(1.1);
  expect(ratio).toBeLessThan(2);
  expect(shared.kinds[0]).toBe("background");
  expect(shared.kinds.at(-1)).toBe("cls");
});

test("without a detector points on a grid propose; without a segmenter boxes are masks", async () => {
  const points = { ...pooled, detector: null, objects: { point_grid: 3, min_area: 0 } };
  using proposing = await MaskLlava.load(device, await tinyMaskLlava({ settings: points, ...hidden }));
  expect((await proposing.compose(picture)).objects.length).toBeGreaterThan(0);
  const boxes = { ...pooled, segmenter: null, objects: { score_threshold: 0, mask_nms: 1 } };
  using boxed = await MaskLlava.load(device, await tinyMaskLlava({ settings: boxes, ...hidden }));
  expect((await boxed.compose(picture)).objects.length).toBeGreaterThan(1);
  const neither = { ...pooled, detector: null, segmenter: null };
  using none = await MaskLlava.load(device, await tinyMaskLlava({ settings: neither, ...hidden }));
  await expect(none.compose(picture)).rejects.toThrow(/neither a detector nor a segmenter/);
  expect((await none.compose(picture, { boxes: [[0, 0, 9, 9]] })).objects.length).toBe(2);
});

test.each<[Record<string, unknown>, RegExp]>([
  [{ vision: "../elsewhere" }, /mask_llava\.json.*vision.*without '\.\.'/s],
  [{ segmenter: "/etc" }, /segmenter/],
  [{ detector: "." }, /detector/],
  [{ patch_grid: [0, 3] }, /patch_grid/],
  [{ patch_grid: [9, 9] }, /9x9/],
  [{ order: ["cls", "patches"] }, /order/],
  [{ norm_scalign: "none" }, /norm_scalign/],
  [{ norm_scaling: "sometimes" }, /norm_scaling/],
  [{ vision_feature_layer: -9 }, /vision_feature_layer is -9; the vision tower has 4 hidden states/],
  [{ mask_inversion: { iterations: 0 } }, /iterations/],
  [{ projector: "shared", object_tokens: "mask_inversion" }, /projector "shared" needs tokens of one width/],
])("settings %j are refused by name", async (settings, message) => {
  const load = async () => {
    const folder = await tinyMaskLlava({
      settings: { ...pooled, ...settings },
      ...(settings.object_tokens ? {} : hidden),
    });
    using model = await MaskLlava.load(device, folder);
    await model.compose(picture);
  };
  await expect(load()).rejects.toThrow(message);
});

test.each(["projected", "hidden"])(
  "MaskInversion makes the object tokens, in the %s space",
  async (object_space) => {
    const width = object_space === "hidden" ? 30 : 22;
    const folder = await tinyMaskLlava({
      settings: { object_space },
      widths: { hidden: 30, object: width, decoder: 30 },
    });
    using model = await MaskLlava.load(device, folder);
    const masks = await model.compose(picture);
    expect(masks.visualTokens.shape[1]).toBe(30);
    expect(masks.maps?.shape[0]).toBe(masks.objects.length);
    expect(masks.maps?.data.every((v) => v >= 0 && v <= 1)).toBe(true);
    expect(masks.visualEmbeds.data.every(Number.isFinite)).toBe(true);
    const objects = rows(masks.visualTokens).filter((_, i) => masks.kinds[i] === "object");
    expect(objects.length).toBeGreaterThan(1);
    expect(relativeL2(objects[0] ?? [], objects[1] ?? [])).toBeGreaterThan(1e-3); // each mask its own token
    for (const row of objects) for (const v of row.slice(width)) expect(v).toBe(0); // padding to the widest kind
    const answer = await model.ask(picture, "What is it?", { tokens: 12, maxNewTokens: 3, doSample: false });
    expect(answer.newIds.length).toBeGreaterThan(0);
  },
);

test("RoI-align pools the boxes, and a LLaVA checkpoint serves as tower, decoder and projector", async () => {
  const settings = {
    vision: "language",
    object_space: "hidden",
    projector: "shared",
    object_tokens: "roi_align",
  };
  const folder = await tinyMaskLlava({ settings, without: ["vision", "projector", "detector"] });
  using model = await MaskLlava.load(device, folder);
  const whole: readonly [number, number, number, number] = [0, 0, picture.width, picture.height];
  const composed = await model.compose(picture, {
    boxes: [whole, [3, 3, 20, 20]],
    patchGrid: { rows: 1, columns: 1 },
  });
  expect(composed.kinds).toEqual(["cls", "patch", "object", "object", "background"]);
  expect(composed.visualEmbeds.data.every(Number.isFinite)).toBe(true);
  const [, mean, first, second] = rows(composed.visualTokens) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  // the box that holds everything points where the mean of all patches does, a corner of it elsewhere
  const cosine = (a: Float32Array, b: Float32Array) =>
    a.reduce((sum, v, i) => sum + v * (b[i] as number), 0) / norm(a) / norm(b);
  expect(cosine(first, mean)).toBeGreaterThan(cosine(second, mean));
  expect(cosine(first, mean)).toBeGreaterThan(0.95);
});

test("[CLS] and pooled patches are transformers' hidden state, and the projector is Linear, GELU, Linear", async () => {
  const clip = await Fixture.open("clip-quick-gelu");
  const folder = await tinyMaskLlava({
    settings: { ...pooled, norm_scaling: "none", background: false },
    ...hidden,
  });
  using model = await MaskLlava.load(device, folder);
  const own = await decodeImage(clip.file(clip.json.picture));
  const composed = await model.compose(own, { boxes: [[0, 0, 9, 9]] });
  const state = clip.floats("vision.hidden_states.2"); // -2 of four; [1, 1 + 25, 30]
  const at = (token: number, d: number) => state[token * 30 + d] as number;
  const [cls, ...tokens] = rows(composed.visualTokens) as [Float32Array, ...Float32Array[]];
  expect(relativeL2(cls, state.slice(0, 30))).toBeLessThan(3e-4);
  for (let bin = 0; bin < 9; bin++) {
    // adaptive average pooling of 5x5 to 3x3, by its definition
    const range = (i: number) => [Math.floor((i * 5) / 3), Math.ceil(((i + 1) * 5) / 3)] as const;
    const [top, bottom] = range(Math.floor(bin / 3));
    const [left, right] = range(bin % 3);
    const pooledHere = Float64Array.from({ length: 30 }, (_, d) => {
      let sum = 0;
      for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += at(1 + y * 5 + x, d);
      return sum / (bottom - top) / (right - left);
    });
    expect(relativeL2(tokens[bin] ?? [], pooledHere), `bin ${bin}`).toBeLessThan(3e-4);
  }
  const stored = await TensorIndex.open(new SubFolderOf(folder, "projector"));
  const read = async (name: string) => {
    const tensor = stored.tensors.get(`multi_modal_projector.${name}`);
    if (!tensor) throw new Error(name);
    const bytes = await tensor.source.read(tensor.begin, tensor.end - tensor.begin);
    return new Float32Array(bytes.slice().buffer);
  };
  const linear = async (name: string, x: ArrayLike<number>, activate: (v: number) => number) => {
    const [weight, bias] = [await read(`${name}.weight`), await read(`${name}.bias`)];
    return Float64Array.from(bias, (b, row) => {
      let sum = b;
      for (let k = 0; k < x.length; k++) sum += (weight[row * x.length + k] as number) * (x[k] as number);
      return activate(sum);
    });
  };
  const embeds = rows(composed.visualEmbeds);
  for (const [row, kind] of [
    [0, "cls"],
    [4, "patch"],
    [10, "object"],
  ] as const) {
    const inner = await linear(`linear_1.${kind}`, [cls, ...tokens][row] ?? [], activationReference("gelu"));
    expect(relativeL2(embeds[row] ?? [], await linear("linear_2", inner, (v) => v)), kind).toBeLessThan(1e-5);
  }
  await stored.close();
});

/** A sub-folder, for reading what a test's checkpoint holds. */
class SubFolderOf implements Folder {
  readonly name: string;
  readonly #parent: Folder;

  constructor(parent: Folder, name: string) {
    this.#parent = parent;
    this.name = name;
  }

  open(name: string) {
    return this.#parent.open(`${this.name}/${name}`);
  }
}
