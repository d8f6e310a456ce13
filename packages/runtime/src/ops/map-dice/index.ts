import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { maskVariant } from "./mask.wgsl.ts";
import { mapDiceReference } from "./reference.ts";
import { type MapDiceInputs, type MapDiceParams, mapDiceShape } from "./spec.ts";

export type { MapDiceParams } from "./spec.ts";

export const mapDiceOp: Op<MapDiceInputs, MapDiceParams> = {
  name: "map-dice",
  infer(inputs, params) {
    const { masks, patches } = mapDiceShape(inputs, params);
    return [
      { shape: [masks], dtype: "f32" },
      { shape: [masks, patches], dtype: "f32" },
      { shape: [masks, 1 + patches], dtype: "f32" },
    ];
  },
  variants: [maskVariant],
  reference: mapDiceReference,
  cost(inputs, _, params) {
    const { masks, patches } = mapDiceShape(inputs, params);
    return { flops: 60 * masks * patches, bytes: 16 * masks * patches };
  },
};

export interface MapDice {
  /** 1 - (2 · sum(map · mask) + 1) / (sum(map) + sum(mask) + 1), sums over the mask's pixels. [M] */
  readonly dice: Tensor;
  /** The patches' values, shifted and scaled so that the upsampled map spans 0 to 1. [M, P] */
  readonly maps: Tensor;
  /** scale · d dice / d relevance; 0 for the class token and for a flat map. [M, 1+P] */
  readonly gradient: Tensor;
}

/**
 * Dice loss between masks and the explainability maps: patches' relevance, upsampled bilinearly by the patch size,
 * min-max per mask, resampled bilinearly to the mask's size. The resampling is linear and keeps constants, so the sums
 * over pixels are products with the masks' images under its adjoint, `coverage`; only the extremes need pixels.
 */
export function mapDice(
  cmd: Recorder,
  inputs: { readonly relevance: Tensor; readonly coverage: Tensor; readonly area: Tensor },
  params: MapDiceParams,
): MapDice {
  const [dice, maps, gradient] = cmd.call(mapDiceOp, inputs, params) as [Tensor, Tensor, Tensor];
  return { dice, maps, gradient };
}
