import {
  type Activation,
  activationDerivative,
  affine,
  concat,
  type Device,
  div,
  layerNormVjp,
  linear,
  matmul,
  mul,
  type Recorder,
  ShapeError,
  sqrt,
  square,
  standardize,
  sub,
  sum,
  type Tensor,
  unaryOp,
  weightedMean,
} from "@mask-llava/runtime";
import type { ClipVisionTower } from "../clip/index.ts";
import type { Linear } from "../nn/index.ts";
import type { MergedWeights } from "./merged-weights.ts";

/** What MaskInversion needs of a CLIP model; a `Clip` and a `ClipVisionModel` are some. */
export interface InvertibleClip {
  readonly device: Device;
  readonly vision: ClipVisionTower;
  /** Needed for the projected space. [E, D] */
  readonly visualProjection?: Linear | undefined;
}

/**
 * What the gradient of a block's attention needs. None of it depends on the embeddings, so all masks and steps share it.
 * x^[n] and scale[n] are the tokens behind attention, y, standardised: where LN2 is differentiated.
 */
export interface LinearizedBlock {
  readonly merged: MergedWeights;
  /** V of all heads. [N, D] */
  readonly values: Tensor;
  /** The MLP's activation's slope at each token, times LN2's scale there. [N, F] */
  readonly slope: Tensor;
  /** slope ⊙ W1 w / D for all tokens, then slope ⊙ W1 (w ⊙ x^) / D: LN2's two rank-one terms behind W1. [2N, F] */
  readonly terms: Tensor;
  /** Woᵀ x^: the second of them before Wo. [N, D] */
  readonly own: Tensor;
  /** df/dm: of the normalised feature by the mean token behind the block. [E, D] */
  readonly jacobian: Tensor;
}

/** An image seen through the last blocks of a CLIP tower. */
export interface LinearizedImage {
  readonly blocks: readonly LinearizedBlock[];
  /** The image's embedding: the class token behind the final norm, projected or not. [1, E] */
  readonly embedding: Tensor;
}

function activate(cmd: Recorder, x: Tensor, activation: Activation): Tensor {
  return activation === "none" ? x : cmd.call1(unaryOp, { x }, { kind: activation, a: 0, b: 0 });
}

/** d L2norm(P · LNpost(m)) / dm = (I - f fᵀ) / |e| · P · dLNpost. m [1, D], P [E, D] -> [E, D] */
function featureJacobian(
  cmd: Recorder,
  { postNorm }: ClipVisionTower,
  m: Tensor,
  projection: Tensor,
): Tensor {
  const e = linear(cmd, postNorm.forward(cmd, m), projection); // [1, E]
  const norm = sqrt(cmd, sum(cmd, square(cmd, e), [1], { keepDims: true })); // [1, 1]
  const f = div(cmd, e, norm); // [1, E]
  // the rows of P · dLNpost are gradients of e's components: LN's vjp of P's rows
  const rows = layerNormVjp(cmd, projection, standardize(cmd, m, postNorm.eps), postNorm.weight); // [E, D]
  const along = matmul(cmd, f, rows); // fᵀ · [1, D]
  const onSphere = sub(cmd, rows, matmul(cmd, f.reshape([-1, 1]), along)); // [E, D]
  return div(cmd, onSphere, norm); // [E, D]
}

/**
 * Runs the last blocks, those that `merged` has, and records what explaining them needs.
 * @param x what enters the first of them: the tower's `hiddenStates[blocks - merged.length]`. [1, N, D]
 * @param projection weight to the embeddings' space [E, D], f32 or f16; the identity for the hidden space
 */
export function linearize(
  cmd: Recorder,
  vision: ClipVisionTower,
  x: Tensor,
  merged: readonly MergedWeights[],
  projection: Tensor,
): LinearizedImage {
  const { hidden_size: width } = vision.config;
  const [batch, tokens] = x.shape as [number, number];
  if (x.shape.length !== 3 || batch !== 1 || x.shape[2] !== width) {
    throw new ShapeError(`linearize: tokens ${x} are not [1, N, ${width}]`);
  }
  const blocks: LinearizedBlock[] = [];
  let tower = x;
  for (const m of merged) {
    const { block } = m;
    const normed = block.norm1.forward(cmd, tower); // [1, N, D]
    const values = block.attention.v.forward(cmd, normed).reshape([tokens, width]); // [N, D]
    const y = block.attention.forward(cmd, normed, { causal: false, residual: tower }); // [1, N, D]
    const h = block.fc1.forward(cmd, block.norm2.forward(cmd, y)).reshape([tokens, -1]); // [N, F]
    const { normalized, scale } = standardize(cmd, y.reshape([tokens, width]), block.norm2.eps); // x^ [N, D], [N]
    const derivative = activationDerivative(cmd, h, block.activation); // [N, F]
    const slope = mul(cmd, derivative, scale.reshape([tokens, 1])); // [N, F]
    // W1 (w ⊙ x^) is h without what LN2's bias and fc1's add
    const shift = block.fc1.forward(cmd, block.norm2.bias.reshape([1, width])); // [1, F]
    const along = mul(cmd, slope, sub(cmd, h, shift)); // [N, F]
    const terms = affine(cmd, concat(cmd, [mul(cmd, slope, m.gain), along], 0), 1 / width); // [2N, F]
    const own = linear(cmd, normalized, m.outTransposed); // [N, D]
    const hidden = activate(cmd, h, block.activation).reshape([1, tokens, -1]); // [1, N, F]
    tower = block.fc2.forward(cmd, hidden, { residual: y }); // z [1, N, D]
    const jacobian = featureJacobian(cmd, vision, weightedMean(cmd, tower), projection); // [E, D]
    blocks.push({ merged: m, values, slope, terms, own, jacobian });
  }
  return { blocks, embedding: linear(cmd, vision.pool(cmd, tower), projection) }; // [1, E]
}

/** Every tensor of a linearised image that programs recorded later read: outputs of the program that makes it. */
export function linearizedTensors(image: LinearizedImage): Tensor[] {
  const ofBlock = ({ values, slope, terms, own, jacobian }: LinearizedBlock) => [
    values,
    slope,
    terms,
    own,
    jacobian,
  ];
  return [image.embedding, ...image.blocks.flatMap(ofBlock)];
}
