import {
  Clip,
  derivativeOfImage,
  type EmbeddingSpace,
  type HostMask,
  linearize,
  MaskInversion,
  MergedBlocks,
  relevanceOfImage,
} from "@mask-llava/models";
import { decodeImage, readMask } from "@mask-llava/models/node";
import { CancelledError, type Device, mapDice, Random, type Tensor } from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDeviceForTest, openTestDevice } from "../support/device.ts";
import { Fixture, relativeL2 } from "../support/fixtures.ts";
import {
  diceOf64,
  type Linearized64,
  linearize64,
  resampled64,
  tower64,
} from "../support/mask-inversion-f64.ts";

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

interface Run {
  readonly tag: string;
  readonly layer_index: number;
  readonly alpha: number;
  readonly lr: number;
  readonly iterations: number;
  readonly wd: number;
}

const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return Array.from(a).reduce((most, v, i) => Math.max(most, Math.abs(v - (b[i] as number))), 0);
};
const finite = (values: ArrayLike<number>): boolean => Array.from(values).every(Number.isFinite);

const quick = { name: "mask-inversion-tiny-quick-gelu", imageSize: 80 };
const resampled = { name: "mask-inversion-tiny-gelu-resampled", imageSize: 112 };

async function masksOf(fixture: Fixture): Promise<HostMask[]> {
  const { masks } = fixture.json as { masks: number };
  return Promise.all(Array.from({ length: masks }, (_, i) => readMask(fixture.file(`mask${i}.png`))));
}

/** Cases of the method's published implementation: two towers, three settings each. */
describe.each([quick, resampled])("$name", ({ name, imageSize }) => {
  let fixture: Fixture;
  let clip: Clip;
  beforeAll(async () => {
    fixture = await Fixture.open(name);
    clip = await Clip.load(device, fixture.folder);
  });
  afterAll(() => clip.dispose());

  test.each(["default", "reg", "two-layers"])("%s, as the published implementation", async (tag) => {
    const run = (fixture.json.runs as Run[]).find((r) => r.tag === tag) as Run;
    using mi = new MaskInversion(clip, { layer: run.layer_index, imageSize });
    const picture = await decodeImage(fixture.file("image.png"));
    const result = await mi.invert(
      { picture, masks: await masksOf(fixture) },
      { alpha: run.alpha, lr: run.lr, iterations: run.iterations, weightDecay: run.wd },
    );
    const { initialEmbedding, embeddings, diceLosses, firstExplainabilityMaps, explainabilityMaps } = result;
    const expected = (key: string) => fixture.floats(`${tag}.${key}`);
    const first = tag === "reg" ? "default" : tag;
    const start = initialEmbedding.data.subarray(0, initialEmbedding.shape[1]);
    expect(worst(result.pixelValues.data, fixture.floats("pixel_values"))).toBeLessThan(1e-6);
    expect(relativeL2(start, fixture.floats("initial_embedding"))).toBeLessThan(3e-4);
    expect(
      worst(firstExplainabilityMaps?.data ?? [], fixture.floats(`${first}.first_explainability_maps`)),
    ).toBeLessThan(1e-3);
    expect(worst(diceLosses, expected("dice_losses"))).toBeLessThan(1e-4);
    expect(worst(explainabilityMaps?.data ?? [], expected("explainability_maps"))).toBeLessThan(1e-3);
    expect(relativeL2(embeddings.data, expected("embeddings"))).toBeLessThan(2e-3);
  });

  test.each([
    ["projected", 1],
    ["projected", 2],
    ["hidden", 1],
  ] as const)("the gradient against finite differences: %s, %i blocks", async (space, blocks) => {
    const { shape, data } = fixture.expected("pixel_values");
    const size = [11, 17] as const; // of the mask: neither the image's size nor square
    using pixels = device.tensor({ shape, dtype: "f32" }, data);
    const { vision } = clip;
    const width = space === "projected" ? clip.config.projection_dim : vision.config.hidden_size;
    const random = new Random(5);
    const t = random.normals([2, width]);
    const mask = Float64Array.from({ length: size[0] * size[1] }, () => random.integer(0, 2));
    const reference = await reference64(fixture, imageSize, space);
    using one = identity(width);
    using direction = device.tensor(
      { shape: t.shape, dtype: "f32" },
      Float32Array.from(unitRows(t.data, width)),
    );

    using merged = await MergedBlocks.create(device, vision.blocks.slice(-blocks));
    const cmd = device.record("gradient");
    const { lastHiddenState: x, grid } = vision.forward(cmd, pixels, {
      resample: { antialias: true },
      layers: vision.blocks.length - blocks,
    });
    const image = linearize(
      cmd,
      vision,
      x,
      merged.blocks,
      space === "projected" ? clip.visualProjection.weight : one,
    );
    const { relevance, signs } = relevanceOfImage(cmd, image, direction);
    const coverage = reference.coverage(mask, size);
    using k = device.tensor({ shape: [2, coverage.mask.length], dtype: "f32" }, coverage.twice);
    using area = device.tensor({ shape: [coverage.area.length], dtype: "f32" }, coverage.area);
    const params = { rows: grid.rows, columns: grid.columns, patch: vision.config.patch_size, scale: 1 };
    const loss = mapDice(cmd, { relevance, coverage: k, area }, params);
    const gradient = derivativeOfImage(cmd, image, signs, loss.gradient);
    using program = await cmd.finish({ outputs: [x, loss.dice, gradient] });
    const [tokens, dice, found] = (await program.runAndRead([x, loss.dice, gradient])) as Float32Array[];

    const linear = reference.linearized(Float64Array.from(tokens as Float32Array), blocks);
    for (let m = 0; m < 2; m++) {
      const row = t.data.slice(m * width, (m + 1) * width);
      const lossAt = (e: Float64Array) => diceOf64(reference.tower, linear, e, mask, size).dice;
      expect(Math.abs((dice?.[m] as number) - lossAt(row))).toBeLessThan(1e-5);
      // the loss sees the direction only: the part of the gradient across t, over |t|
      const norm = Math.sqrt(row.reduce((a, v) => a + v * v, 0));
      const g = Array.from((found as Float32Array).subarray(m * width, (m + 1) * width));
      const along = g.reduce((a, v, i) => a + (v * (row[i] as number)) / norm, 0);
      const across = g.map((v, i) => (v - (along * (row[i] as number)) / norm) / norm);
      const step = 1e-6;
      const differences = across.map((_, i) => {
        const [up, down] = [step, -step].map((d) => lossAt(row.map((v, j) => (j === i ? v + d : v))));
        return ((up as number) - (down as number)) / (2 * step);
      });
      // f32 against f64; both sides of a kink of max(0, G) are within reach of f32 rounding only for tiny G
      expect(relativeL2(across, differences)).toBeLessThan(1e-3);
    }
  });
});

const unitRows = (x: Float64Array, width: number): Float64Array =>
  x.map((v, i) => {
    const row = x.subarray(Math.floor(i / width) * width, (Math.floor(i / width) + 1) * width);
    return v / Math.sqrt(row.reduce((a, b) => a + b * b, 0));
  });

function identity(size: number): Tensor {
  const data = Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
  return device.tensor({ shape: [size, size], dtype: "f32" }, data);
}

/** The tower in f64, and a mask's image under the adjoint of the map's resampling, found by probing it patch by patch. */
async function reference64(fixture: Fixture, imageSize: number, space: EmbeddingSpace) {
  const tower = await tower64(
    fixture.file("model.safetensors"),
    fixture.file("config.json"),
    imageSize,
    space,
  );
  const [rows, columns] = tower.grid;
  return {
    tower,
    linearized(x: Float64Array, blocks: number): Linearized64[] {
      let tokens = x;
      return tower.blocks.slice(-blocks).map((block) => {
        const { next, linear } = linearize64(tower, block, tokens);
        tokens = next;
        return linear;
      });
    },
    coverage(mask: Float64Array, size: readonly [number, number]) {
      const pixels = Array.from({ length: rows * columns }, (_, p) => {
        const patches = new Float64Array(rows * columns);
        patches[p] = 1;
        return resampled64(tower, patches, size);
      });
      const onMask = Float32Array.from(pixels, (map) =>
        map.reduce((a, v, i) => a + v * (mask[i] as number), 0),
      );
      const area = Float32Array.from(pixels, (map) => map.reduce((a, v) => a + v, 0));
      return { mask: onMask, twice: Float32Array.from([...onMask, ...onMask]), area };
    },
  };
}

describe("properties", () => {
  let fixture: Fixture;
  let clip: Clip;
  let pixels: { shape: readonly number[]; data: Float32Array };
  let masks: HostMask[];
  beforeAll(async () => {
    fixture = await Fixture.open(quick.name);
    clip = await Clip.load(device, fixture.folder);
    pixels = { shape: fixture.expected("pixel_values").shape, data: fixture.floats("pixel_values") };
    masks = await masksOf(fixture);
  });
  afterAll(() => clip.dispose());

  const random = new Random(11);
  const box = (height = 80, width = 80): HostMask => {
    const [top, left] = [random.integer(0, height - 4), random.integer(0, width - 4)];
    const [bottom, right] = [random.integer(top + 1, height), random.integer(left + 1, width)];
    const data = Float32Array.from({ length: height * width }, (_, i) => {
      const [y, x] = [Math.floor(i / width), i % width];
      return y >= top && y < bottom && x >= left && x < right ? 1 : 0;
    });
    return { height, width, data };
  };

  test("masks in another order give embeddings in that order", async () => {
    using mi = new MaskInversion(clip);
    const order = [2, 0, 1];
    const options = { iterations: 4, lr: 0.3 };
    const straight = await mi.invert({ pixels, masks }, options);
    const turned = await mi.invert({ pixels, masks: order.map((i) => masks[i] as HostMask) }, options);
    const width = straight.embeddings.shape[1] as number;
    order.forEach((from, to) => {
      const row = straight.embeddings.data.subarray(from * width, (from + 1) * width);
      expect([...turned.embeddings.data.subarray(to * width, (to + 1) * width)]).toEqual([...row]);
    });
  });

  test("everything, nothing and one pixel as masks", async () => {
    using mi = new MaskInversion(clip);
    const flat = (value: number) => ({ height: 80, width: 80, data: new Float32Array(6400).fill(value) });
    const pixel = flat(0);
    pixel.data[40 * 80 + 7] = 1;
    const result = await mi.invert({ pixels, masks: [flat(1), flat(0), pixel] }, { iterations: 5, lr: 0.3 });
    for (const { data } of [result.embeddings, result.maskDiceLosses]) expect(finite(data)).toBe(true);
    expect(finite(result.explainabilityMaps?.data ?? [Number.NaN])).toBe(true);
    // whatever the mask, a step goes down its gradient
    const losses = result.maskDiceLosses.data;
    for (let m = 0; m < 3; m++) expect(losses[m * 5 + 4]).toBeLessThan((losses[m * 5] as number) + 1e-6);
  });

  test("200 masks, at once and in turns, from the host and from the GPU", async () => {
    using mi = new MaskInversion(clip);
    const many = Array.from({ length: 200 }, () => box(24, 32));
    const options = { iterations: 3, lr: 0.3, maps: false };
    const atOnce = await mi.invert({ pixels, masks: many }, options);
    expect(finite(atOnce.embeddings.data)).toBe(true);
    expect(atOnce.explainabilityMaps).toBeUndefined();
    const inTurns = await mi.invert({ pixels, masks: many }, { ...options, memoryLimit: 4e6 });
    using tensor = device.tensor(
      { shape: [200, 24, 32], dtype: "f32" },
      Float32Array.from(many.flatMap((m) => [...m.data])),
    );
    const fromGpu = await mi.invert({ pixels, masks: tensor }, { ...options, memoryLimit: 7e6 });
    for (const other of [inTurns, fromGpu]) {
      // the same sums, but products of other tile sizes may round in another order, which a step's sign can amplify
      expect(relativeL2(other.embeddings.data, atOnce.embeddings.data)).toBeLessThan(1e-4);
      expect(worst(other.diceLosses, atOnce.diceLosses)).toBeLessThan(1e-5);
    }
  });

  test("windows of a device with small bindings change nothing", async () => {
    const small = await openDeviceForTest({ limits: { maxStorageBufferBindingSize: 196_608 } });
    using narrow = await Clip.load(small, fixture.folder);
    using mi = new MaskInversion(clip, { layer: -2 });
    using windowed = new MaskInversion(narrow, { layer: -2 });
    const many = Array.from({ length: 13 }, () => box());
    const options = { iterations: 2, lr: 0.3 };
    const [a, b] = [
      await mi.invert({ pixels, masks: many }, options),
      await windowed.invert({ pixels, masks: many }, options),
    ];
    expect(relativeL2(b.embeddings.data, a.embeddings.data)).toBeLessThan(1e-4);
    expect(worst(b.explainabilityMaps?.data ?? [], a.explainabilityMaps?.data ?? [])).toBeLessThan(1e-4);
  });

  test("f16 weights come close to f32's", async () => {
    using half = await Clip.load(device, fixture.folder, { dtype: "f16" });
    using mi = new MaskInversion(half);
    const { diceLosses, firstExplainabilityMaps } = await mi.invert({ pixels, masks }, { iterations: 3 });
    // weights rounded to 11 bits, through a few blocks and a min-max
    expect(
      worst(firstExplainabilityMaps?.data ?? [], fixture.floats("default.first_explainability_maps")),
    ).toBeLessThan(2e-2);
    expect(worst(diceLosses, fixture.floats("default.dice_losses").subarray(0, 3))).toBeLessThan(5e-3);
  });

  test("the hidden space: as wide as the tower, and the loss goes down", async () => {
    using mi = new MaskInversion(clip, { space: "hidden" });
    const { embeddings, diceLosses } = await mi.invert({ pixels, masks }, { iterations: 8 });
    expect(embeddings.shape).toEqual([3, clip.vision.config.hidden_size]);
    expect(diceLosses[7]).toBeLessThan(diceLosses[0] as number);
  });

  test("LeGrad's map of the image's own embedding is where an inversion starts", async () => {
    using mi = new MaskInversion(clip);
    const { initialEmbedding } = await mi.invert({ pixels, masks }, { iterations: 1, maps: false });
    const { maps } = await mi.explain({ pixels, embeddings: initialEmbedding });
    expect(maps.shape).toEqual([3, 80, 80]);
    expect(worst(maps.data, fixture.floats("default.first_explainability_maps"))).toBeLessThan(1e-3);
  });

  test("calls that overlap take turns; an aborted one stops", async () => {
    using mi = new MaskInversion(clip);
    const one = (iterations: number, signal?: AbortSignal) =>
      mi.invert({ pixels, masks }, { iterations, maps: false, signal });
    const [alone, ...together] = [await one(3), ...(await Promise.all([one(3), one(3)]))];
    for (const t of together) expect([...t.embeddings.data]).toEqual([...alone.embeddings.data]);
    await expect(one(3, AbortSignal.abort())).rejects.toBeInstanceOf(CancelledError);
  });

  test("bad settings, masks and pixels are refused by name", async () => {
    using mi = new MaskInversion(clip);
    const soft = (value: number) => ({ height: 2, width: 2, data: new Float32Array(4).fill(value) });
    const { visualProjection: _, ...towerOnly } = {
      device,
      vision: clip.vision,
      visualProjection: undefined,
    };
    expect(() => new MaskInversion(towerOnly)).toThrow(/space is projected, expected hidden/);
    expect(() => new MaskInversion(clip, { layer: -4 })).toThrow(
      /layer is -4, expected a block from -3 to 2/,
    );
    expect(() => new MaskInversion(clip, { layer: 0.5 })).toThrow(/layer is 0.5/);
    expect(() => new MaskInversion(clip, { imageSize: 15 })).toThrow(/image size is 15/);
    const refused = (input: object, options: object, message: RegExp) =>
      expect(mi.invert({ pixels, masks, ...input }, options)).rejects.toThrow(message);
    await refused({ masks: [] }, {}, /number of masks is 0/);
    await refused({ masks: [soft(1), { ...soft(1), width: 1 }] }, {}, /size of mask 1 is 1x2, expected 2x2/);
    await refused(
      { masks: [{ ...soft(1), data: new Float32Array(3) }] },
      {},
      /mask 0 is 3 values, expected 4/,
    );
    await refused({ masks: [soft(Number.NaN)] }, {}, /value 0 of mask 0 is NaN/);
    await refused({ masks: [soft(0), soft(255)] }, {}, /value 0 of mask 1 is 255/);
    await refused({}, { iterations: 0 }, /iterations is 0/);
    await refused({}, { lr: 0 }, /lr is 0/);
    await refused({}, { alpha: -1 }, /alpha is -1/);
    await refused({}, { weightDecay: Number.NaN }, /weight decay is NaN/);
    await refused({}, { betas: [0.9, 1] }, /a beta is 1/);
    await refused({ pixels: { shape: [1, 3, 80, 8], data: new Float32Array(1920) } }, {}, /shape of pixels/);
    const zero = { shape: [1, 24], data: new Float32Array(24) };
    await expect(mi.explain({ pixels, embeddings: zero })).rejects.toThrow(/norm of embedding 0 is 0/);
    await expect(mi.explain({ pixels, embeddings: { ...zero, shape: [1, 23] } })).rejects.toThrow(
      /\[T, 24\]/,
    );
  });
});
