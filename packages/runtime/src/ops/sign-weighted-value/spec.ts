import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";
import { signRows } from "../legrad-map/spec.ts";

export interface SignWeightedValueInputs {
  /** As `legradMap` gives them. [M, H, ceil(N/32), N], u32. */
  readonly signs: TensorSpec;
  /** R: a weight a token j. [M, N], f32. */
  readonly weights: TensorSpec;
  /** V of all heads. [N, H·d], f32. */
  readonly values: TensorSpec;
}

export interface SignWeightedValueShape {
  readonly masks: number;
  readonly tokens: number;
  readonly heads: number;
  /** d. */
  readonly size: number;
  readonly blocks: number;
}

export function signWeightedValueShape(inputs: SignWeightedValueInputs): SignWeightedValueShape {
  const { signs, weights, values } = inputs;
  if (signs.dtype !== "u32" || weights.dtype !== "f32" || values.dtype !== "f32")
    throw new DTypeError(
      `signWeightedValue: takes u32, f32 and f32, found ${[signs, weights, values].map(formatSpec).join(", ")}`,
    );
  const [masks, heads] = signs.shape as [number, number];
  const [tokens, width] = values.shape as [number, number];
  const blocks = Math.ceil(tokens / signRows);
  const fits =
    formatShape(signs.shape) === formatShape([masks, heads, blocks, tokens]) &&
    formatShape(weights.shape) === formatShape([masks, tokens]) &&
    values.shape.length === 2 &&
    width % heads === 0;
  if (!fits)
    throw new ShapeError(
      `signWeightedValue: signs ${formatSpec(signs)}, weights ${formatSpec(weights)} and values ${formatSpec(values)} do not fit`,
    );
  return { masks, tokens, heads, size: width / heads, blocks };
}
