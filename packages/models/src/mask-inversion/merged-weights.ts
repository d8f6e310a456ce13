import {
  cast,
  type Device,
  linear,
  mul,
  type Program,
  permute,
  type Recorder,
  sum,
  type Tensor,
} from "@mask-llava/runtime";
import type { TransformerBlock } from "../nn/index.ts";

/**
 * Wo and W1 of a block with LN2's gain between them, as one matrix: LN2's derivative is a scalar a token but for two rank-one
 * terms, so what goes through Wo, LN2 and W1 goes through one product, at two thirds of the FLOPs or less.
 */
export interface MergedWeights {
  readonly block: TransformerBlock;
  /** B = W1 diag(w) Wo. [F, D] */
  readonly forward: Tensor;
  /** Bᵀ. [D, F]: both are stored as products read weights, along the inner axis. */
  readonly backward: Tensor;
  /** Woᵀ. [D, D] */
  readonly outTransposed: Tensor;
  /** Woᵀ 1. [D] */
  readonly outSum: Tensor;
  /** W1 w. [1, F] */
  readonly gain: Tensor;
}

function merge(cmd: Recorder, block: TransformerBlock): MergedWeights {
  const { weight } = block.attention.out;
  const width = weight.shape[1] as number;
  const out = weight.dtype === "f32" ? weight : cast(cmd, weight, "f32"); // Wo [D, D]
  const outTransposed = permute(cmd, out, [1, 0]); // [D, D]
  const scaled = mul(cmd, outTransposed, block.norm2.weight); // Woᵀ diag(w) [D, D]
  const backward = linear(cmd, scaled, block.fc1.weight); // [D, F]
  return {
    block,
    forward: permute(cmd, backward, [1, 0]), // [F, D]
    backward,
    outTransposed,
    outSum: sum(cmd, outTransposed, [1]), // [D]
    gain: linear(cmd, block.norm2.weight.reshape([1, width]), block.fc1.weight), // [1, F]
  };
}

/** Merged weights of blocks, in f32; made once for a model. Owns them. */
export class MergedBlocks implements Disposable {
  readonly blocks: readonly MergedWeights[];
  readonly #program: Program;

  private constructor(blocks: readonly MergedWeights[], program: Program) {
    this.blocks = blocks;
    this.#program = program;
  }

  static async create(device: Device, blocks: readonly TransformerBlock[]): Promise<MergedBlocks> {
    const cmd = device.record("mask inversion weights");
    const merged = blocks.map((block) => merge(cmd, block));
    const outputs = merged.flatMap(({ forward, backward, outTransposed, outSum, gain }) => [
      forward,
      backward,
      outTransposed,
      outSum,
      gain,
    ]);
    const program = await cmd.finish({ outputs });
    program.run();
    return new MergedBlocks(merged, program);
  }

  dispose(): void {
    this.#program.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
