import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, type Tensor } from "../../tensor.ts";
import { decodeVariants } from "./decode.wgsl.ts";
import type { KeyStorage } from "./key-reading.ts";
import { attentionReference } from "./reference.ts";
import { type AttentionInputs, type AttentionParams, attentionShape } from "./spec.ts";
import { subgroupVariant } from "./subgroup.wgsl.ts";
import { tileVariants } from "./tile.wgsl.ts";

const storages: KeyStorage[] = ["f32", "packed", "q8_0"];

export const attentionOp: Op<AttentionInputs, AttentionParams> = {
  name: "attention",
  infer(inputs, params) {
    attentionShape(inputs, params);
    return [{ shape: inputs.q.shape, dtype: "f32" }];
  },
  variants: [
    ...storages.map(subgroupVariant),
    ...storages.flatMap(decodeVariants),
    ...storages.flatMap(tileVariants),
  ],
  reference: attentionReference,
  cost(inputs, [y], params) {
    const { batch, tq, tk, heads, size } = attentionShape(inputs, params);
    // causal without `start`: query i sees tk - tq + i + 1 keys; with it, what is seen is known on the GPU only
    const full = batch * heads * tq * tk;
    const pairs = params.causal && tk >= tq ? full - (batch * heads * tq * (tq - 1)) / 2 : full;
    const { q, k, v, bias, relH, relW } = inputs;
    const bytes = [q, k, v, bias, relH, relW, y].reduce((sum, t) => sum + (t ? dataBytes(t) : 0), 0);
    return { flops: 4 * pairs * size, bytes };
  },
};

export interface AttentionOptions {
  /** Default: 1 / sqrt(D). */
  readonly scale?: number;
  /** Query i sees keys 0 .. start + i only. */
  readonly causal?: boolean;
  /** u32 [B], causal only: position of the first query among the keys; default Tk - Tq. Read on the GPU at each run. */
  readonly start?: Tensor | undefined;
  /** f32 [B|1, H|1, Tq|1, Tk], added to the scaled scores; at most -1e30 masks a key. */
  readonly bias?: Tensor | undefined;
  /**
   * f32 [B, H, Tq, kh], with `relW`: decomposed relative positions (Li et al. 2022, MViTv2, eq. 4, as in SAM's encoder).
   * The score of key j gets relH[.., j div kw] + relW[.., j mod kw].
   */
  readonly relH?: Tensor | undefined;
  /** f32 [B, H, Tq, kw], kh · kw = Tk. */
  readonly relW?: Tensor | undefined;
}

/**
 * softmax(scale · q kᵀ + bias) v, without a matrix of scores in memory. q [B, Tq, H, D] f32; k, v [B, Tk, Hkv, D] f32, f16
 * or q8_0 with Hkv dividing H (head h reads key-value head h div (H / Hkv)) -> [B, Tq, H, D]. A query all of whose keys are
 * masked gives zeros (PyTorch: NaN). Throws ShapeError and DTypeError.
 */
export function attention(
  cmd: Recorder,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const {
    scale = 1 / Math.sqrt(q.shape.at(-1) as number),
    causal = false,
    start,
    bias,
    relH,
    relW,
  } = options;
  return cmd.call1(attentionOp, { q, k, v, start, bias, relH, relW }, { scale, causal });
}
