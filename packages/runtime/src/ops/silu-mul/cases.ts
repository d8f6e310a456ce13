import { suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import { siluMulOp } from "./index.ts";

const shapes: { shape: Shape; benchOnly?: boolean }[] = [
  { shape: [1] },
  { shape: [3, 5, 7] },
  { shape: [65, 129] },
  { shape: [640, 11008], benchOnly: true },
];

export const siluMulSuite = suite(
  siluMulOp,
  shapes.map(({ shape, benchOnly = false }) => ({
    name: JSON.stringify(shape),
    params: {},
    inputs: (r) => ({ gate: r.normals(shape, { scale: 4 }), up: r.normals(shape) }),
    // exp is good to 3 ulp and 2 ulp for its argument's rounding at |x| < 20; then a sum, a quotient and a product
    tolerance: { abs: 1e-6, rel: 3e-6 },
    benchOnly,
  })),
);
