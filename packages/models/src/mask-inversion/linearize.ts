import {
  type Activation,
  activationDerivative,
  type Device,
  div,
  type LayerNormPoint,
  layerNormVjp,
  matmul,
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
import type { Linear, TransformerBlock } from "../nn/index.ts";

/** What MaskInversion needs of a CLIP model; a `Clip` is one. */
export interface InvertibleClip {
  readonly device: Device;
  readonly vision: ClipVisionTower;
  /** Needed for the projected space. [E, D] */
  readonly visualProjection?: Linear | undefined;
}

/** What the gradient of a block's attention needs. None of it depends on the embeddings, so all masks and steps share it. */
export interface LinearizedBlock {
  readonly block: TransformerBlock;
  /** V of all heads. [N, D] */
  readonly values: Tensor;
  /** The MLP's activation's slope at each token. [N, F] */
  readonly slope: Tensor;
  /** The tokens behind attention, y, standardised, for LN2's derivatives. [N, D], [N] */
  readonly point: LayerNormPoint;
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

/**
 * Runs the last `count` blocks and records what explaining them needs.
 * @param x what enters the first of them: `hiddenStates[blocks - count]` of the tower. [1, N, D]
 * @param projection weight to the embeddings' space [E, D], f32 or f16; the identity for the hidden space
 */
export function linearize(
  cmd: Recorder,
  vision: ClipVisionTower,
  x: Tensor,
  count: number,
  projection: Tensor,
): LinearizedImage {
  const { hidden_size: width } = vision.config;
  const [batch, tokens] = x.shape as [number, number];
  if (x.shape.length !== 3 || batch !== 1 || x.shape[2] !== width) {
    throw new ShapeError(`linearize: tokens ${x} are not [1, N, ${width}]`);
  }
  const project = (pooled: Tensor) => matmul(cmd, pooled, projection, { transposeB: true }); // [1, D] -> [1, E]
  const blocks: LinearizedBlock[] = [];
  let tower = x;
  for (const block of vision.blocks.slice(-count)) {
    const normed = block.norm1.forward(cmd, tower); // [1, N, D]
    const values = block.attention.v.forward(cmd, normed).reshape([tokens, width]); // [N, D]
    const y = block.attention.forward(cmd, normed, { causal: false, residual: tower }); // [1, N, D]
    const h = block.fc1.forward(cmd, block.norm2.forward(cmd, y)); // [1, N, F]
    const slope = activationDerivative(cmd, h, block.activation).reshape([tokens, -1]); // [N, F]
    tower = block.fc2.forward(cmd, activate(cmd, h, block.activation), { residual: y }); // z [1, N, D]
    const point = {
      ...standardize(cmd, y.reshape([tokens, width]), block.norm2.eps),
      weight: block.norm2.weight,
    };
    const mean = weightedMean(cmd, tower); // m [1, D]
    blocks.push({ block, values, slope, point, jacobian: featureJacobian(cmd, vision, mean, projection) });
  }
  return { blocks, embedding: project(vision.pool(cmd, tower)) }; // [1, E]

  /** d L2norm(P · LNpost(m)) / dm = (I - f fᵀ) / |e| · P · dLNpost. [E, D] */
  function featureJacobian(cmd: Recorder, { postNorm }: ClipVisionTower, m: Tensor, weight: Tensor): Tensor {
    const e = project(postNorm.forward(cmd, m)); // [1, E]
    const norm = sqrt(cmd, sum(cmd, square(cmd, e), [1], { keepDims: true })); // [1, 1]
    const f = div(cmd, e, norm); // [1, E]
    // the rows of P · dLNpost are gradients of e's components: LN's vjp of P's rows
    const rows = layerNormVjp(cmd, weight, { ...standardize(cmd, m, postNorm.eps), weight: postNorm.weight }); // [E, D]
    const along = matmul(cmd, f, rows); // fᵀ · [1, D]
    const onSphere = sub(cmd, rows, matmul(cmd, f.reshape([-1, 1]), along)); // [E, D]
    return div(cmd, onSphere, norm); // [E, D]
  }
}

/** Every tensor of a linearised image that programs recorded later read: outputs of the program that makes it. */
export function linearizedTensors(image: LinearizedImage): Tensor[] {
  return [
    image.embedding,
    ...image.blocks.flatMap(({ values, slope, point, jacobian }) => [
      values,
      slope,
      point.normalized,
      point.scale,
      jacobian,
    ]),
  ];
}
