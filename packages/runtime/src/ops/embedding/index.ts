import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, sizeOf, type Tensor } from "../../tensor.ts";
import { lookupVariants } from "./lookup.wgsl.ts";
import { quantizedVariant } from "./quantized.wgsl.ts";
import { embeddingReference } from "./reference.ts";
import { type EmbeddingInputs, type EmbeddingParams, embeddingShape } from "./spec.ts";

export const embeddingOp: Op<EmbeddingInputs, EmbeddingParams> = {
  name: "embedding",
  infer(inputs) {
    const { width } = embeddingShape(inputs);
    return [{ shape: [...inputs.ids.shape, width], dtype: "f32" }];
  },
  variants: [...lookupVariants, quantizedVariant],
  reference: embeddingReference,
  cost({ table, ids }, [y]) {
    const rows = sizeOf(ids.shape);
    const read = dataBytes({ shape: [rows, table.shape[1] as number], dtype: table.dtype });
    return { flops: 0, bytes: read + 4 * sizeOf(y?.shape ?? []) + 4 * rows };
  },
};

/**
 * Rows of table [V, D] (f32, f16 or quantised) by ids u32 [..] -> f32 [.., D]. Ids come from the host (which should have refused
 * those of V and above by name) or from sampling on the GPU, which cannot throw: the row of such an id is NaN, so that
 * it shows in whatever is computed from it, where a clamped id would give a plausible wrong answer.
 */
export function embedding(cmd: Recorder, table: Tensor, ids: Tensor): Tensor {
  return cmd.call1(embeddingOp, { table, ids }, {});
}
