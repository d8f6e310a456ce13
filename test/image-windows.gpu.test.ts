import {
  adaptiveAvgPool2dOp,
  conv2d,
  conv2dOp,
  convTranspose2dOp,
  type Device,
  deformableAttentionOp,
  KernelError,
  maxPool2dOp,
  resize2dOp,
  ShapeError,
} from "@mask-llava/runtime";
import { checkVariant, Random, type suites } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";

/** Four of the images below; windows of them start at multiples of up to 256 bytes. */
const limit = 32768;
const images = [7, 8, 16, 16];

let device: Device;
beforeAll(async () => {
  device = await openTestDevice({ limits: { maxStorageBufferBindingSize: limit } });
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

type AnyOp = (typeof suites)[number]["op"];
const conv = {
  stride: [1, 1],
  padding: [0, 0],
  dilation: [1, 1],
  groups: 1,
  activation: "none",
  addFirst: false,
} as const;
const pool = { kernel: [3, 3], stride: [2, 2], padding: [1, 1], dilation: [1, 1] } as const;
const resize = { size: [17, 16], mode: "bilinear", antialias: false, alignCorners: false } as const;
const random = new Random(5);

describe(`a batch in bindings of at most ${limit} bytes`, () => {
  test.each([
    [
      "conv2d 3x3",
      conv2dOp,
      { ...conv, padding: [1, 1] },
      { x: images, weight: [6, 8, 3, 3], residual: [7, 6, 16, 16] },
    ],
    ["conv2d 1x1", conv2dOp, conv, { x: images, weight: [8, 8, 1, 1], bias: [8] }],
    [
      "conv2d depthwise",
      conv2dOp,
      { ...conv, padding: [1, 1], groups: 8 },
      { x: images, weight: [8, 1, 3, 3] },
    ],
    [
      "convTranspose2d",
      convTranspose2dOp,
      { ...conv, stride: [2, 2], outputPadding: [0, 0] },
      { x: [9, 6, 8, 8], weight: [6, 4, 2, 2], bias: [4] },
    ],
    ["maxPool2d", maxPool2dOp, pool, { x: images }],
    ["adaptiveAvgPool2d", adaptiveAvgPool2dOp, { outputSize: [4, 8] }, { x: images }],
    ["resize2d", resize2dOp, resize, { x: images }],
    ["resize2d antialiased", resize2dOp, { ...resize, size: [5, 8], antialias: true }, { x: images }],
    [
      "deformableAttention",
      deformableAttentionOp,
      { levels: [[8, 8]], softmax: true },
      { value: [5, 64, 4, 8], locations: [5, 16, 4, 1, 4, 2], weights: [5, 16, 4, 4] },
    ],
  ] as const)("%s", async (name, op, params, shapes) => {
    const sizes = Object.entries(shapes as Record<string, readonly number[]>);
    const testCase = {
      name,
      params,
      inputs: (r: Random) =>
        Object.fromEntries(sizes.map(([key, shape]) => [key, r.normals(shape, { scale: 0.3 })])),
      // sums of at most 72 products of size 0.1, and sampled positions of at most 16 pixels
      tolerance: { abs: 2e-5, rel: 4e-6 },
    };
    const inputs = testCase.inputs(random);
    const variants = (op as unknown as AnyOp).variants.filter((v) => v.supports(inputs, params, device.caps));
    expect(variants.length).toBeGreaterThan(0);
    for (const variant of variants) {
      const result = await checkVariant(
        device,
        op as unknown as AnyOp,
        testCase as Parameters<typeof checkVariant>[2],
        variant.name,
        new Random(5),
      );
      expect(result.ok, `${variant.name}: ${result.message}`).toBe(true);
    }
  });

  test("one image that does not fit is an error that says so", () => {
    using x = device.tensor({ shape: [1, 8, 40, 40], dtype: "f32", label: "picture" });
    using weight = device.tensor({ shape: [4, 8, 1, 1], dtype: "f32" });
    expect(() => conv2d(device.record("too large"), x, weight)).toThrow(KernelError);
    expect(() => conv2d(device.record("too large"), x, weight)).toThrow(
      /one image of picture f32\[1, 8, 40, 40\].* binding of 32768 bytes/,
    );
  });

  test("channels that do not match are an error that names the shapes", () => {
    using x = device.tensor({ shape: [1, 8, 4, 4], dtype: "f32" });
    using weight = device.tensor({ shape: [4, 6, 3, 3], dtype: "f32" });
    expect(() => conv2d(device.record("channels"), x, weight)).toThrow(ShapeError);
    expect(() => conv2d(device.record("channels"), x, weight, { stride: 0 })).toThrow(/stride/);
  });
});
