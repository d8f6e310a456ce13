import {
  add,
  concat,
  type Device,
  gatherRows,
  mul,
  type Recorder,
  ShapeError,
  sigmoid,
  sin,
  slice,
  type Tensor,
  topK,
} from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { LayerNorm, Linear } from "../nn/index.ts";
import type { DeformableDetrConfig } from "./config.ts";
import { sinePeriods } from "./geometry.ts";
import type { BoxHead } from "./heads.ts";
import { normEps } from "./layers.ts";

/** The encoder's own boxes, and those of them that become queries. */
export interface ProposalStates {
  /** Logits of every cell, of which the first class says how much of an object it is. [B, S, C] */
  readonly encClass: Tensor;
  /** Logits of (cx, cy, w, h) of every cell; `noProposal` where there is none. [B, S, 4] */
  readonly encCoordLogits: Tensor;
  /** Cells of the chosen, best first. u32 [B, Q] */
  readonly chosen: Tensor;
  /** Their boxes. [B, Q, 4] */
  readonly references: Tensor;
  /** [B, Q, D] */
  readonly queryPositions: Tensor;
  /** [B, Q, D] */
  readonly queries: Tensor;
}

/** What a two-stage model adds (Zhu et al. 2020, appendix A.4): the encoder proposes the boxes that the decoder refines. */
export class ProposalStage {
  readonly encOutput: Linear;
  readonly encOutputNorm: LayerNorm;
  readonly posTrans: Linear;
  readonly posTransNorm: LayerNorm;
  readonly count: number;
  readonly #classHead: Linear;
  readonly #boxHead: BoxHead;

  constructor(w: Weights, c: DeformableDetrConfig, heads: { classHead: Linear; boxHead: BoxHead }) {
    const { d_model: width } = c;
    this.count = c.two_stage_num_proposals;
    this.encOutput = Linear.load(w.at("enc_output"), width, width);
    this.encOutputNorm = LayerNorm.load(w.at("enc_output_norm"), width, normEps);
    this.posTrans = Linear.load(w.at("pos_trans"), 2 * width, 2 * width);
    this.posTransNorm = LayerNorm.load(w.at("pos_trans_norm"), 2 * width, normEps);
    this.#classHead = heads.classHead;
    this.#boxHead = heads.boxHead;
  }

  /**
   * @param encoded [B, S, D]
   * @param proposals logits of each cell's own box [B, S, 4] and whether it has one [B, S, 1]
   * @param waves frequencies and phases [2, D / 2] of the position embedding, as `proposalWaves` makes them
   */
  forward(
    cmd: Recorder,
    encoded: Tensor,
    proposals: { logits: Tensor; valid: Tensor },
    waves: Tensor,
  ): ProposalStates {
    const [batch, cells, width] = encoded.shape as [number, number, number];
    if (cells < this.count) {
      throw new ShapeError(
        `Deformable DETR: the picture has ${cells} cells on all levels, fewer than the ${this.count} proposals of two_stage_num_proposals`,
      );
    }
    const masked = mul(cmd, encoded, proposals.valid); // [B, S, D]
    const objects = this.encOutputNorm.forward(cmd, this.encOutput.forward(cmd, masked)); // [B, S, D]
    const encClass = this.#classHead.forward(cmd, objects); // [B, S, C]
    const encCoordLogits = add(cmd, this.#boxHead.forward(cmd, objects), proposals.logits); // [B, S, 4]
    const objectness = slice(cmd, encClass, [0, 0, 0], [batch, cells, 1]).reshape([batch, cells]); // [B, S]
    const [, chosen] = topK(cmd, objectness, this.count); // u32 [B, Q]
    const coordLogits = gatherEach(cmd, encCoordLogits, chosen); // [B, Q, 4]
    const references = sigmoid(cmd, coordLogits); // [B, Q, 4]
    const embedded = this.#positionsOf(cmd, references, waves); // [B, Q, 2D]
    const both = this.posTransNorm.forward(cmd, this.posTrans.forward(cmd, embedded)); // [B, Q, 2D]
    return {
      encClass,
      encCoordLogits,
      chosen,
      references,
      queryPositions: slice(cmd, both, [0, 0, 0], [batch, this.count, width]), // [B, Q, D]
      queries: slice(cmd, both, [0, 0, width], [batch, this.count, 2 * width]), // [B, Q, D]
    };
  }

  /** Sine embedding of each coordinate in D / 2 channels. boxes [B, Q, 4] -> [B, Q, 2D] */
  #positionsOf(cmd: Recorder, boxes: Tensor, waves: Tensor): Tensor {
    const [batch, queries] = boxes.shape as [number, number];
    const half = waves.shape[1] as number;
    const frequencies = slice(cmd, waves, [0, 0], [1, half]).reshape([half]); // [D / 2]
    const phases = slice(cmd, waves, [1, 0], [2, half]).reshape([half]); // [D / 2]
    const angles = mul(cmd, boxes.reshape([batch * queries, 4, 1]), frequencies); // [BQ, 4, D / 2]
    return sin(cmd, add(cmd, angles, phases)).reshape([batch, queries, 4 * half]); // [B, Q, 2D]
  }
}

/** Frequencies 2 pi / period and phases (0 for sines, pi / 2 for cosines) of a coordinate's embedding. [2, D / 2] */
export function proposalWaves(device: Device, width: number): Tensor {
  const periods = sinePeriods(width / 2);
  const data = Float32Array.from([
    ...periods.map((period) => (2 * Math.PI) / period),
    ...periods.map((_, i) => (i % 2 ? Math.PI / 2 : 0)),
  ]);
  return device.tensor({ shape: [2, width / 2], dtype: "f32", label: "proposal waves" }, data);
}

/** Rows of each image by its own indices. x [B, S, K], indices u32 [B, Q] -> [B, Q, K] */
function gatherEach(cmd: Recorder, x: Tensor, indices: Tensor): Tensor {
  const [batch, rows, width] = x.shape as [number, number, number];
  const count = indices.shape[1] as number;
  const parts = Array.from({ length: batch }, (_, b) => {
    const own = slice(cmd, x, [b, 0, 0], [b + 1, rows, width]).reshape([rows, width]); // [S, K]
    const chosen = slice(cmd, indices, [b, 0], [b + 1, count]).reshape([count]); // [Q]
    return gatherRows(cmd, own, chosen).reshape([1, count, width]); // [1, Q, K]
  });
  return concat(cmd, parts, 0);
}
