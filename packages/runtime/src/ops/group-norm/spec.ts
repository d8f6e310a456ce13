import { ShapeError } from "../../errors.ts";
import { formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";
import type { NormParams } from "../layer-norm/spec.ts";

export interface GroupNormInputs {
  /** [N, C, ..], f32. */
  readonly x: TensorSpec;
  /** [C], f32 or f16. */
  readonly weight: TensorSpec;
  /** [C], f32 or f16. */
  readonly bias: TensorSpec;
}

export interface GroupNormParams extends NormParams {
  readonly groups: number;
}

/** x as N·groups rows, each of `channels` channels with `inner` elements. Throws ShapeError. */
export function groupRows(x: TensorSpec, groups: number) {
  const [images = 0, channels = 0] = x.shape;
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0)
    throw new ShapeError(`groupNorm: ${groups} groups do not divide the channels of ${formatSpec(x)}`);
  const inner = sizeOf(x.shape.slice(2));
  const per = channels / groups;
  return { rows: images * groups, width: per * inner, grouped: { groups, channels: per, inner } };
}
