import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";

export interface MapDiceInputs {
  /** Relevance of the tokens, the class token first. [M, 1+P], f32. */
  readonly relevance: TensorSpec;
  /** Each mask through the adjoint of the map's resampling (patch grid -> mask's size). [M, P], f32. */
  readonly coverage: TensorSpec;
  /** The same of a mask of ones: what a patch's value adds to the sum of the map. [P], f32. */
  readonly area: TensorSpec;
}

export interface MapDiceParams {
  /** Patches: P = rows · columns. */
  readonly rows: number;
  readonly columns: number;
  /** Pixels of a patch's side: the map is upsampled by it before its extremes are taken. */
  readonly patch: number;
  /** Multiplies the gradient: 1 / masks, as the loss is a mean over all of them. */
  readonly scale: number;
}

/**
 * A map whose extremes differ by no more than this part of the larger one is flat: what is left is f32 rounding. It has
 * no min-max, and is 0.
 */
export const flatPart = 1e-6;
/** The same, absolutely: its reciprocal stays far from f32's largest number. */
export const flatRange = 1e-30;

export function mapDiceShape(
  { relevance, coverage, area }: MapDiceInputs,
  { rows, columns, patch }: MapDiceParams,
): { masks: number; patches: number } {
  for (const t of [relevance, coverage, area])
    if (t.dtype !== "f32") throw new DTypeError(`mapDice: takes f32, found ${formatSpec(t)}`);
  const masks = relevance.shape[0] ?? 0;
  const patches = rows * columns;
  const expected: [TensorSpec, number[]][] = [
    [relevance, [masks, 1 + patches]],
    [coverage, [masks, patches]],
    [area, [patches]],
  ];
  for (const [spec, shape] of expected)
    if (formatShape(spec.shape) !== formatShape(shape))
      throw new ShapeError(
        `mapDice: ${formatSpec(spec)} is not ${formatShape(shape)} (${rows}x${columns} patches)`,
      );
  if (!(patches >= 1) || !Number.isInteger(patch) || patch < 1)
    throw new ShapeError(`mapDice: ${rows}x${columns} patches of ${patch} pixels`);
  return { masks, patches };
}

/**
 * Fractions of the first and the last pixel between two patch centres, in torch's bilinear upsampling by `patch`:
 * pixel k lies at (k + 1/2) / patch - 1/2.
 */
export function pixelFractions(patch: number): { first: number; last: number } {
  const first = patch % 2 === 0 ? 1 / (2 * patch) : 0;
  return { first, last: patch % 2 === 0 ? 1 - first : (patch - 1) / patch };
}
