import { type OpCase, suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import type { Pair } from "../conv2d/spec.ts";
import { resize2dOp } from "./index.ts";
import type { Resize2dInputs, Resize2dParams } from "./spec.ts";

type Options = Partial<Omit<Resize2dParams, "size">> & { readonly benchOnly?: boolean };

function resizeCase(x: Shape, size: Pair, options: Options = {}): OpCase<Resize2dInputs, Resize2dParams> {
  const { mode = "bilinear", antialias = false, alignCorners = false, benchOnly = false } = options;
  const kind = `${mode}${antialias ? ", antialias" : ""}${alignCorners ? ", corners" : ""}`;
  return {
    name: `${kind} ${JSON.stringify(x)} to ${size}`,
    params: { size, mode, antialias, alignCorners },
    inputs: (r) => ({ x: r.normals(x) }),
    // a pixel copied; else a weighted sum of a few dozen values of size 1, whose weights carry some roundings of
    // polynomials that cancel (a cubic's is about 4 ulp of 2) along each axis
    tolerance: mode === "nearest" ? { abs: 0, rel: 0 } : { abs: 5e-6, rel: 5e-6 },
    benchOnly,
  };
}

const kinds: Options[] = [
  { mode: "bilinear" },
  { mode: "bicubic" },
  { mode: "bilinear", alignCorners: true },
  { mode: "bicubic", alignCorners: true },
  { mode: "bilinear", antialias: true },
  { mode: "bicubic", antialias: true },
  { mode: "bicubic", antialias: true, alignCorners: true },
];

export const resize2dSuite = suite(resize2dOp, [
  ...[{ mode: "nearest" } as const, ...kinds].flatMap((kind) => [
    resizeCase([2, 3, 7, 9], [16, 5], kind),
    resizeCase([1, 2, 31, 23], [9, 57], kind),
    resizeCase([1, 1, 1, 6], [4, 1], kind),
    resizeCase([1, 2, 5, 5], [5, 5], kind),
  ]),
  // positions far from 0, where they would be inexact in f32
  resizeCase([1, 1, 2, 3001], [3, 4099]),
  resizeCase([1, 1, 3001, 2], [977, 2], { mode: "bicubic", antialias: true }),
  resizeCase([1, 1, 256, 256], [1024, 1024], { benchOnly: true }),
  resizeCase([1, 3, 768, 1024], [448, 448], { mode: "bicubic", antialias: true, benchOnly: true }),
]);
