import { type OpCase, suite } from "../../op-case.ts";
import type { QuantizedDType } from "../../quantized.ts";
import type { Shape } from "../../tensor.ts";
import { exactly } from "../permute/cases.ts";
import { dequantizeOp } from "./index.ts";
import type { DequantizeInputs, DequantizeParams } from "./spec.ts";

function dequantizeCase(shape: Shape, dtype: QuantizedDType): OpCase<DequantizeInputs, DequantizeParams> {
  return {
    name: `${JSON.stringify(shape)} ${dtype}`,
    params: {},
    inputs: (r) => ({ x: r.normals(shape, { dtype, mean: 0.3 }) }),
    // a product of an 11-bit scale and a small integer is exact, and the minimum is added with one rounding
    tolerance: exactly,
  };
}

const dtypes: QuantizedDType[] = ["q8_0", "q4_0", "q4_1"];

export const dequantizeSuite = suite(
  dequantizeOp,
  dtypes.flatMap((dtype) => [
    dequantizeCase([1, 32], dtype),
    dequantizeCase([3, 5, 96], dtype),
    dequantizeCase([7, 37], dtype),
    dequantizeCase([5, 3], dtype),
  ]),
);
