import {
  add,
  affine,
  attention,
  deformableAttention,
  div,
  mul,
  type Recorder,
  slice,
  type Tensor,
} from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { Linear } from "../nn/index.ts";

/** The encoder's feature maps, flattened one after the other, and what is known of them. */
export interface Memory {
  /** [B, S, D] */
  readonly states: Tensor;
  /** [height, width] of each level; their areas add up to S. */
  readonly levels: readonly (readonly [number, number])[];
  /** (width, height) of each level, to turn offsets in cells into parts of the map. [L, 1, 2] */
  readonly levelSizes: Tensor;
  /** 0 at padding; undefined where there is none. [B, S, 1] */
  readonly valid: Tensor | undefined;
}

/** Multi-scale deformable attention (Zhu et al. 2020, section 4.1; `DeformableDetrMultiscaleDeformableAttention`). */
export class DeformableAttention {
  readonly samplingOffsets: Linear;
  readonly attentionWeights: Linear;
  readonly valueProj: Linear;
  readonly outputProj: Linear;
  readonly heads: number;
  readonly points: number;

  constructor(w: Weights, width: number, heads: number, levels: number, points: number) {
    this.heads = heads;
    this.points = points;
    this.samplingOffsets = Linear.load(w.at("sampling_offsets"), width, heads * levels * points * 2);
    this.attentionWeights = Linear.load(w.at("attention_weights"), width, heads * levels * points);
    this.valueProj = Linear.load(w.at("value_proj"), width, width);
    this.outputProj = Linear.load(w.at("output_proj"), width, width);
  }

  /**
   * Samples the memory around each query's reference points, plus `residual`.
   * @param query with positions added [B, Q, D]
   * @param references (x, y) or (cx, cy, w, h) of each query on each level [B, Q, L, 2 | 4]
   */
  forward(cmd: Recorder, query: Tensor, references: Tensor, memory: Memory, residual: Tensor): Tensor {
    const [batch, queries, width] = query.shape as [number, number, number];
    const cells = memory.states.shape[1] as number;
    const levels = memory.levels.length;
    const { heads, points } = this;
    let value = this.valueProj.forward(cmd, memory.states); // [B, S, D]
    if (memory.valid) value = mul(cmd, value, memory.valid); // [B, S, D], 0 at padding
    const offsets = this.samplingOffsets
      .forward(cmd, query)
      .reshape([batch * queries, heads, levels, points, 2]); // [BQ, H, L, P, 2]
    const locations = this.#locations(cmd, references, offsets, memory).reshape([
      batch,
      queries,
      heads,
      levels,
      points,
      2,
    ]);
    const scores = this.attentionWeights
      .forward(cmd, query)
      .reshape([batch, queries, heads, levels * points]); // [B, Q, H, LP]
    const sampled = deformableAttention(
      cmd,
      value.reshape([batch, cells, heads, width / heads]),
      locations,
      scores,
      memory.levels,
      { softmax: true },
    ); // [B, Q, D]
    return this.outputProj.forward(cmd, sampled, { residual }); // [B, Q, D]
  }

  /** Where to sample, in parts of the map: offsets are in cells, or in half boxes divided by the points. [BQ, H, L, P, 2] */
  #locations(cmd: Recorder, references: Tensor, offsets: Tensor, { levelSizes }: Memory): Tensor {
    const [batch, queries, levels, coordinates] = references.shape as [number, number, number, number];
    const each = [batch * queries, 1, levels, 1, 2];
    if (coordinates === 2) {
      return add(cmd, references.reshape(each), div(cmd, offsets, levelSizes)); // [BQ, H, L, P, 2]
    }
    const full = [batch, queries, levels];
    const centres = slice(cmd, references, [0, 0, 0, 0], [...full, 2]).reshape(each); // [BQ, 1, L, 1, 2]
    const sizes = slice(cmd, references, [0, 0, 0, 2], [...full, 4]).reshape(each); // [BQ, 1, L, 1, 2]
    const steps = affine(cmd, sizes, 0.5 / this.points); // [BQ, 1, L, 1, 2]
    return add(cmd, centres, mul(cmd, offsets, steps)); // [BQ, H, L, P, 2]
  }
}

/** Self-attention of the queries, with their positions added to queries and keys but not to values. */
export class QueryAttention {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly out: Linear;
  readonly heads: number;

  constructor(w: Weights, width: number, heads: number) {
    this.heads = heads;
    this.q = Linear.load(w.at("q_proj"), width, width);
    this.k = Linear.load(w.at("k_proj"), width, width);
    this.v = Linear.load(w.at("v_proj"), width, width);
    this.out = Linear.load(w.at("o_proj"), width, width);
  }

  /** x + MSA(x). x [B, Q, D], positions [B | 1, Q, D] -> [B, Q, D] */
  forward(cmd: Recorder, x: Tensor, positions: Tensor): Tensor {
    const [batch, queries, width] = x.shape as [number, number, number];
    const split = [batch, queries, this.heads, width / this.heads];
    const placed = add(cmd, x, positions); // [B, Q, D]
    const q = this.q.forward(cmd, placed).reshape(split); // [B, Q, H, d]
    const k = this.k.forward(cmd, placed).reshape(split); // [B, Q, H, d]
    const v = this.v.forward(cmd, x).reshape(split); // [B, Q, H, d]
    const mixed = attention(cmd, q, k, v).reshape(x.shape); // [B, Q, D]
    return this.out.forward(cmd, mixed, { residual: x }); // [B, Q, D]
  }
}
