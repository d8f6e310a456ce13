import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, sizeOf, type Tensor } from "../../tensor.ts";
import { appendVariants } from "./append.wgsl.ts";
import { quadsVariants } from "./append-quads.wgsl.ts";
import { quantizedVariant } from "./append-quantized.wgsl.ts";
import { ropeAppendReference, ropeReference } from "./reference.ts";
import { ropeVariant } from "./rope.wgsl.ts";
import { appendShape, type RopeAppendInputs, type RopeInputs, type RopeParams, ropeShape } from "./spec.ts";

export { type RopeFrequencies, type RopeParameters, ropeFrequencies } from "./frequencies.ts";

export const ropeOp: Op<RopeInputs, RopeParams> = {
  name: "rope",
  infer(inputs, params) {
    ropeShape(inputs, params);
    return [{ shape: inputs.x.shape, dtype: "f32" }];
  },
  variants: [ropeVariant],
  reference: ropeReference,
  cost: ({ x }) => ({ flops: 3 * sizeOf(x.shape), bytes: 2 * dataBytes(x) }),
};

export const ropeAppendOp: Op<RopeAppendInputs, RopeParams> = {
  name: "rope_append",
  infer(inputs, params) {
    const { batch, length, heads, size } = appendShape(inputs, params);
    return [{ shape: [batch, length, heads, size], dtype: "f32" }];
  },
  mutates: ["kCache", "vCache"],
  variants: [...quadsVariants, ...appendVariants, quantizedVariant],
  reference: ropeAppendReference,
  cost({ qkv, kCache, ...rest }, [y], params) {
    const { batch, length, kvHeads, size } = appendShape({ qkv, kCache, ...rest }, params);
    const keyShape = [batch, length, kvHeads, size];
    const keys = sizeOf(keyShape);
    const queries = sizeOf(qkv.shape) - 2 * keys;
    const written = 2 * dataBytes({ shape: keyShape, dtype: kCache.dtype });
    return {
      flops: 3 * (queries + keys),
      bytes: dataBytes(qkv) + (y ? dataBytes(y) : 0) + written,
    };
  },
};

export interface RopeOptions {
  /** Multiplies what is rotated (yarn's and longrope's attention factor); default 1. */
  readonly attentionScaling?: number;
}

/**
 * Rotary position embedding (Su et al. 2021) with LLaMA's pairing: elements i and i + rot/2 of a head turn by
 * position · invFreq[i]; what follows the first rot = 2·|invFreq| elements is copied. x [B, T, H, D] f32, invFreq f32
 * [rot/2], start u32 [B], read on the GPU: position of x[b, t] is start[b] + t, below 2^17 -> [B, T, H, D].
 */
export function rope(
  cmd: Recorder,
  x: Tensor,
  invFreq: Tensor,
  start: Tensor,
  options: RopeOptions = {},
): Tensor {
  return cmd.call1(ropeOp, { x, invFreq, start }, { attentionScaling: options.attentionScaling ?? 1 });
}

/**
 * Takes queries, keys and values as one product gives them, qkv [B, T, (H + 2 Hkv)·D]: rotates queries and keys as `rope`
 * does, and writes rotated keys, and values, to rows start .. start+T-1 of the caches [B, Tmax, Hkv, D], f32, f16 or
 * q8_0, in place. Rows beyond the capacity are not written: the caller checks start + T <= Tmax, which only it knows. Returns
 * rotated queries [B, T, H, D]. Throws ShapeError or DTypeError.
 */
export function ropeAppend(
  cmd: Recorder,
  inputs: { readonly [K in keyof RopeAppendInputs]: Tensor },
  options: RopeOptions = {},
): Tensor {
  return cmd.call1(ropeAppendOp, { ...inputs }, { attentionScaling: options.attentionScaling ?? 1 });
}
