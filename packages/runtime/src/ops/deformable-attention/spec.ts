import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";
import { checkPair, type Pair } from "../conv2d/spec.ts";

export interface DeformableAttentionInputs {
  /** [B, S, heads, D]: the levels' pixels one after the other, S = sum of h·w. f32. */
  readonly value: TensorSpec;
  /** [B, Q, heads, levels, points, 2]: (x, y), 0 to 1 over a level's whole image. f32. */
  readonly locations: TensorSpec;
  /** [B, Q, heads, levels·points] or [B, Q, heads, levels, points]. f32. */
  readonly weights: TensorSpec;
}

export interface DeformableAttentionParams {
  /** [h, w] of each level, in the order of `value`. */
  readonly levels: readonly Pair[];
  /** `weights` are logits, softmaxed here over levels and points; else they are taken as they are. */
  readonly softmax: boolean;
}

export interface DeformableAttentionShape {
  readonly b: number;
  readonly s: number;
  readonly heads: number;
  readonly d: number;
  readonly q: number;
  readonly points: number;
}

/** Throws ShapeError or DTypeError where the tensors do not fit together. */
export function deformableAttentionShape(
  { value, locations, weights }: DeformableAttentionInputs,
  { levels }: DeformableAttentionParams,
): DeformableAttentionShape {
  const fail = (why: string): never => {
    throw new ShapeError(
      `deformableAttention: ${formatSpec(value)} at ${formatSpec(locations)} by ${formatSpec(weights)}: ${why}`,
    );
  };
  if ([value, locations, weights].some((t) => t.dtype !== "f32"))
    throw new DTypeError(
      `deformableAttention: takes f32, found ${value.dtype}, ${locations.dtype}, ${weights.dtype}`,
    );
  if (value.shape.length !== 4) return fail("value takes [B, S, heads, D]");
  if (locations.shape.length !== 6) return fail("locations take [B, Q, heads, levels, points, 2]");
  if (levels.length < 1) return fail("no levels");
  for (const level of levels) checkPair("deformableAttention", "level", level, 1);
  const [b, s, heads, d] = value.shape as [number, number, number, number];
  const [lb, q, lh, ll, points, two] = locations.shape as [number, number, number, number, number, number];
  if ([b, s, heads, d, q, points].some((n) => n < 1)) return fail("an axis is empty");
  const pixels = levels.reduce((sum, [h, w]) => sum + h * w, 0);
  if (pixels !== s)
    return fail(`levels ${levels.map(formatShape).join(" ")} have ${pixels} pixels, not ${s}`);
  if (lb !== b || lh !== heads || ll !== levels.length || two !== 2)
    return fail(`locations are not [${b}, Q, ${heads}, ${levels.length}, points, 2]`);
  const flat = formatShape([b, q, heads, levels.length * points]);
  const deep = formatShape([b, q, heads, levels.length, points]);
  if (![flat, deep].includes(formatShape(weights.shape)) || sizeOf(weights.shape) < 1)
    return fail(`weights are neither ${flat} nor ${deep}`);
  return { b, s, heads, d, q, points };
}
