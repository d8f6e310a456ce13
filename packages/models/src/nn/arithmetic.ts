import { type Arithmetic, isQuantized, type Recorder, type Tensor } from "@mask-llava/runtime";

/** Products of so few rows wait for weights alone, and have kernels that norm and gate on the way: they stay f32. */
const few = 8;

/** What the products of x [.., K] with `weights` are made of, by the device's setting: what all of them can be. */
export function arithmeticOf(cmd: Recorder, x: Tensor, weights: readonly Tensor[]): Arithmetic {
  if (cmd.device.arithmetic === "f32" || x.size <= few * (x.shape.at(-1) as number)) return "f32";
  if (weights.every(({ dtype }) => dtype === "f16")) return "f16";
  return weights.every(({ dtype }) => isQuantized(dtype)) ? "integer" : "f32";
}
