import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { ropeFrequencies } from "./frequencies.ts";
import { ropeAppendOp, ropeOp } from "./index.ts";
import type { RopeAppendInputs, RopeInputs, RopeParams } from "./spec.ts";

function frequencies(rotary: number) {
  return hostTensor([rotary / 2], "f32", ropeFrequencies({ head_dim: rotary }).inverseFrequencies);
}

// cos and sin are within 2e-7, and two products of size up to 4 are added
const rotation = { abs: 2e-6, rel: 1e-6 };
// a half has 11 bits, and is below 2^-24 of precision only for subnormals
const half = { abs: 2e-6, rel: 2 ** -11 * 1.01 };

// half a step of a group whose largest magnitude is 6, further than these normals reach, and the rounding of its scale
const quant = { abs: (6 / 127 / 2) * (1 + 2 ** -11) + 2e-6, rel: 0 };
const tolerances = { f32: rotation, f16: half, q8_0: quant };

interface Shape {
  readonly batch?: number;
  readonly length: number;
  readonly heads: number;
  readonly kvHeads?: number;
  readonly size: number;
  readonly rotary?: number;
  readonly start: readonly number[];
  readonly scaling?: number;
}

function ropeCase(s: Shape): OpCase<RopeInputs, RopeParams> {
  const { batch = s.start.length, length, heads, size, rotary = size, start, scaling = 1 } = s;
  return {
    name: `${batch}x${length}x${heads}x${size}, ${rotary} rotated, from ${start}`,
    params: { attentionScaling: scaling },
    inputs: (r) => ({
      x: r.normals([batch, length, heads, size]),
      invFreq: frequencies(rotary),
      start: hostTensor([batch], "u32", start),
    }),
    tolerance: rotation,
  };
}

function appendCase(
  s: Shape,
  capacity: number,
  dtype: keyof typeof tolerances,
): OpCase<RopeAppendInputs, RopeParams> {
  const { start, length, heads, kvHeads = heads, size, rotary = size, scaling = 1 } = s;
  const batch = start.length;
  return {
    name: `${batch}x${length}x${heads}x${size}, ${rotary} rotated, to ${start} of ${capacity}x${kvHeads} ${dtype}`,
    params: { attentionScaling: scaling },
    inputs: (r) => ({
      qkv: r.normals([batch, length, (heads + 2 * kvHeads) * size]),
      invFreq: frequencies(rotary),
      start: hostTensor([batch], "u32", start),
      kCache: r.normals([batch, capacity, kvHeads, size], { dtype }),
      vCache: r.normals([batch, capacity, kvHeads, size], { dtype }),
    }),
    tolerance: tolerances[dtype],
  };
}

export const ropeSuite = suite(ropeOp, [
  ropeCase({ length: 1, heads: 1, size: 2, start: [3] }),
  ropeCase({ length: 5, heads: 3, size: 6, start: [0, 1000] }),
  ropeCase({ length: 3, heads: 2, size: 17, rotary: 6, start: [9], scaling: 1.25 }),
  // angles of 131,072 radians: f32 sin and cos of a shader are wild there
  ropeCase({ length: 9, heads: 2, size: 64, start: [131063, 70001, 4000] }),
]);

export const ropeAppendSuite = suite(
  ropeAppendOp,
  (["f32", "f16", "q8_0"] as const).flatMap((dtype) => [
    appendCase({ length: 4, heads: 4, kvHeads: 2, size: 8, start: [0, 5] }, 9, dtype),
    appendCase({ length: 1, heads: 2, size: 64, start: [11] }, 12, dtype),
    // all of a head turned: quads of pairs; heads and positions that nothing divides, and rows beyond the capacity
    appendCase({ length: 5, heads: 7, kvHeads: 7, size: 24, start: [2, 6], scaling: 1.5 }, 9, dtype),
    appendCase({ length: 3, heads: 9, kvHeads: 3, size: 128, start: [0, 70001, 1] }, 4, dtype),
    appendCase({ length: 2, heads: 3, kvHeads: 1, size: 5, rotary: 4, start: [3, 2, 5] }, 7, dtype),
    // odd rows and odd caches: words are shared by rows, and by the end of one cache and the start of the next
    appendCase({ length: 3, heads: 1, size: 17, rotary: 8, start: [4, 0, 1], scaling: 0.5 }, 7, dtype),
    // the first item's last rows, and all of the second's, are beyond the capacity
    appendCase({ length: 3, heads: 1, size: 5, rotary: 2, start: [3, 9, 0] }, 5, dtype),
  ]),
);
