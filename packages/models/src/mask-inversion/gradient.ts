import {
  add,
  type LegradMap,
  legradMap,
  linear,
  matmul,
  pairwiseProduct,
  type Recorder,
  signWeightedValue,
  sub,
  type Tensor,
  tokenDots,
  tokenTerms,
  weightedMean,
} from "@mask-llava/runtime";
import type { LinearizedBlock, LinearizedImage } from "./linearize.ts";

/**
 * LeGrad's relevance of a block's tokens for embeddings t: of s = t^ · f, the gradient by the attention's probabilities.
 * One vjp; ds/dz is the same row for every token, so W2 is applied to a vector a mask. With u[n] = act'(h[n]) ⊙ W2ᵀ ds/dz
 * and C[n] LN2's symmetric derivative, ds/do[n] = Woᵀ (ds/dz + C[n] (w ⊙ W1ᵀ u[n])).
 * @param direction t^, unit rows [M, E]
 */
export function relevanceOfBlock(cmd: Recorder, l: LinearizedBlock, direction: Tensor): LegradMap {
  const { merged, values, slope, terms, own, jacobian } = l;
  const { block, backward, outTransposed, outSum } = merged;
  const tokens = values.shape[0] as number;
  const g = matmul(cmd, direction, jacobian, { scale: 1 / tokens }); // ds/dz of any token [M, D]
  const v = matmul(cmd, g, block.fc2.weight); // W2ᵀ ds/dz [M, F]
  const u = pairwiseProduct(cmd, slope, v); // scale[n] u[n] [M, N, F]
  const dOut = tokenTerms(cmd, {
    x: linear(cmd, u, backward), // scale[n] Woᵀ diag(w) W1ᵀ u[n] [M, N, D]
    added: linear(cmd, g, outTransposed), // Woᵀ ds/dz [M, D]
    coefficients: linear(cmd, v, terms, { scale: -1 }), // means of w ⊙ W1ᵀ u[n], and of that times x^[n] [M, 2N]
    shared: outSum,
    own,
  }); // ds/do [M, N, D]
  return legradMap(cmd, dOut, values, block.attention.heads);
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
  const { merged, values, slope, terms, own, jacobian } = l;
  const { block, forward, outSum } = merged;
  const tokens = values.shape[0] as number;
  const dOut = signWeightedValue(cmd, signs, gradient, values); // change of the heads' outputs [M, N, D]
  const dh = linear(cmd, dOut, forward); // W1 diag(w) Wo · [M, N, F]
  const q = weightedMean(cmd, dh, slope); // mean over tokens of act' ⊙ scale · that [M, F]
  const dots = tokenDots(cmd, { x: dOut, shared: outSum, own }); // [M, 2N]
  const less = matmul(cmd, dots, terms, { scale: 1 / tokens }); // LN2's rank-one terms [M, F]
  const dy = linear(cmd, weightedMean(cmd, dOut), block.attention.out.weight); // mean change of y [M, D]
  const dm = linear(cmd, sub(cmd, q, less), block.fc2.weight, { residual: dy }); // change of m [M, D]
  return linear(cmd, dm, jacobian, { residual: others }); // change of f = dLoss/dt^ [M, E]
}

/** Relevance summed over the blocks [M, N], and each block's signs. */
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

/** FLOPs of one step for one mask and block: two products with the merged matrix, and the attention's two. */
export function stepFlops(tokens: number, width: number, inner: number): number {
  return 2 * (2 * tokens * width * inner + 2 * tokens ** 2 * width);
}
