import {
  add,
  type LegradMap,
  layerNormJvp,
  layerNormVjp,
  legradMap,
  linear,
  matmul,
  pairwiseProduct,
  type Recorder,
  signWeightedValue,
  type Tensor,
  weightedMean,
} from "@mask-llava/runtime";
import type { LinearizedBlock, LinearizedImage } from "./linearize.ts";

/**
 * LeGrad's relevance of a block's tokens for embeddings t: of s = t^ · f, the gradient by the attention's probabilities.
 * One vjp; ds/dz is the same row for every token, so W2 is applied to a vector a mask.
 * @param direction t^, unit rows [M, E]
 */
export function relevanceOfBlock(cmd: Recorder, l: LinearizedBlock, direction: Tensor): LegradMap {
  const { block, values, slope, point, jacobian } = l;
  const masks = direction.shape[0] as number;
  const [tokens, width] = values.shape as [number, number];
  const rows = [masks * tokens, -1];
  const g = matmul(cmd, direction, jacobian, { scale: 1 / tokens }); // ds/dz of any token [M, D]
  const v = matmul(cmd, g, block.fc2.weight); // W2ᵀ ds/dz [M, F]
  const u = pairwiseProduct(cmd, slope, v); // behind the activation -> before it [M, N, F]
  const w = matmul(cmd, u.reshape(rows), block.fc1.weight); // W1ᵀ · [MN, D]
  const dy = layerNormVjp(cmd, w, point, g); // ds/dy, with the residual's part [MN, D]
  const dOut = matmul(cmd, dy, block.attention.out.weight); // Woᵀ · [MN, D]
  return legradMap(cmd, dOut.reshape([masks, tokens, width]), values, block.attention.heads);
}

/**
 * The loss's gradient by t^, from its gradient by a block's relevance. Since s is linear in t^, it is the change of f
 * along dA_h[n, j] = dLoss/dr[j] · [ds/dA_h[n, j] > 0] / (HN): one jvp. The mean over tokens is taken before W2.
 * @param gradient dLoss/dr [M, N]
 * @param others the same of other blocks, to be added to [M, E]
 */
export function derivativeOfBlock(
  cmd: Recorder,
  l: LinearizedBlock,
  signs: Tensor,
  gradient: Tensor,
  others: Tensor | undefined,
): Tensor {
  const { block, values, slope, point, jacobian } = l;
  const dOut = signWeightedValue(cmd, signs, gradient, values); // change of the heads' outputs [M, N, D]
  const dy = linear(cmd, dOut, block.attention.out.weight); // [M, N, D]
  const dh = linear(cmd, layerNormJvp(cmd, dy, point), block.fc1.weight); // [M, N, F]
  const q = weightedMean(cmd, dh, slope); // mean change behind the activation [M, F]
  const dm = linear(cmd, q, block.fc2.weight, { residual: weightedMean(cmd, dy) }); // change of m [M, D]
  return linear(cmd, dm, jacobian, { residual: others }); // change of f = dLoss/dt^ [M, E]
}

/** Relevance summed over the blocks, and each block's signs. [M, N] */
export function relevanceOfImage(
  cmd: Recorder,
  image: LinearizedImage,
  direction: Tensor,
): { relevance: Tensor; signs: Tensor[] } {
  const maps = image.blocks.map((block) => relevanceOfBlock(cmd, block, direction));
  const relevance = maps.map((m) => m.relevance).reduce((a, b) => add(cmd, a, b)); // [M, N]
  return { relevance, signs: maps.map((m) => m.signs) };
}

/** dLoss/dt^ [M, E] from dLoss/drelevance [M, N]. */
export function derivativeOfImage(
  cmd: Recorder,
  image: LinearizedImage,
  signs: readonly Tensor[],
  gradient: Tensor,
): Tensor {
  return image.blocks.reduce<Tensor | undefined>(
    (others, block, i) => derivativeOfBlock(cmd, block, signs[i] as Tensor, gradient, others),
    undefined,
  ) as Tensor;
}

/** FLOPs of one step for one mask and block: two passes of W1, Wo and the attention's products. */
export function stepFlops(tokens: number, width: number, inner: number): number {
  return 2 * (2 * tokens * width * inner + 2 * tokens * width ** 2 + 2 * tokens ** 2 * width);
}
