import {
  add,
  concat,
  convTranspose2d,
  gelu,
  layerNorm2d,
  matmul,
  permute,
  type Recorder,
  slice,
  type Tensor,
} from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { LayerNorm, Linear } from "../nn/index.ts";
import type { SamMaskDecoderConfig } from "./config.ts";
import { TwoWayTransformer } from "./two-way.ts";
import { fixedNormEps } from "./vision.ts";

export interface SamDecoderInputs {
  /** Behind the neck. [1, C, g, g] */
  readonly image: Tensor;
  /** Of the masks given, or a constant [C, 1, 1]. [1 | P, C, g, g] */
  readonly dense: Tensor;
  /** Output tokens, then each prompt's. [P, T, C] */
  readonly tokens: Tensor;
  /** [1, g·g, C] */
  readonly positions: Tensor;
}

export interface SamDecoderOutput {
  /** Tokens behind each block, then behind the last attention. [P, T, C] */
  readonly blocks: readonly Tensor[];
  readonly tokens: Tensor;
  /** Logits, K masks a prompt. [P, K, 4g, 4g] */
  readonly predMasks: Tensor;
  /** Predicted intersections over union. [P, K] */
  readonly iouScores: Tensor;
}

/** Linear layers with ReLU between them (`SamFeedForward`). */
class FeedForward {
  readonly layers: readonly Linear[];

  constructor(w: Weights, sizes: { inputs: number; hidden: number; outputs: number }, depth: number) {
    const { inputs, hidden, outputs } = sizes;
    this.layers = [
      Linear.load(w.at("proj_in"), inputs, hidden),
      ...Array.from({ length: depth - 2 }, (_, i) => Linear.load(w.at(`layers.${i}`), hidden, hidden)),
      Linear.load(w.at("proj_out"), hidden, outputs),
    ];
  }

  forward(cmd: Recorder, x: Tensor): Tensor {
    return this.layers.reduce((h, layer, i) => {
      return layer.forward(cmd, h, i < this.layers.length - 1 ? { activation: "relu" } : {}); // [.., hidden]
    }, x); // [.., outputs]
  }
}

/** SAM's mask decoder (Kirillov et al. 2023, appendix A; `SamMaskDecoder`), batched over the prompts of one image. */
export class SamMaskDecoder {
  readonly config: SamMaskDecoderConfig;
  readonly transformer: TwoWayTransformer;
  readonly hypernetworks: readonly FeedForward[];
  readonly iouHead: FeedForward;
  /** The rows that every prompt's tokens start with: the IoU token and the mask tokens. [1 + masks, C], flat. */
  readonly outputTokens: Promise<Float32Array>;
  readonly #upscale1: { weight: Tensor; bias: Tensor };
  readonly #upscaleNorm: LayerNorm;
  readonly #upscale2: { weight: Tensor; bias: Tensor };

  /** Takes `mask_decoder` at the cursor. */
  constructor(w: Weights, config: SamMaskDecoderConfig) {
    this.config = config;
    const { hidden_size: width, num_multimask_outputs: several } = config;
    const masks = several + 1;
    this.transformer = new TwoWayTransformer(w.at("transformer"), config);
    const up = (name: string, inputs: number, outputs: number) => ({
      weight: w.take(`${name}.weight`, [inputs, outputs, 2, 2]),
      bias: w.take(`${name}.bias`, [outputs], { dtype: "f32" }),
    });
    this.#upscale1 = up("upscale_conv1", width, width / 4);
    this.#upscaleNorm = LayerNorm.load(w.at("upscale_layer_norm"), width / 4, fixedNormEps);
    this.#upscale2 = up("upscale_conv2", width / 4, width / 8);
    this.hypernetworks = Array.from({ length: masks }, (_, i) => {
      const sizes = { inputs: width, hidden: width, outputs: width / 8 };
      return new FeedForward(w.at(`output_hypernetworks_mlps.${i}`), sizes, 3);
    });
    this.iouHead = new FeedForward(
      w.at("iou_prediction_head"),
      { inputs: width, hidden: config.iou_head_hidden_dim, outputs: masks },
      config.iou_head_depth,
    );
    const parts = [
      w.takeHost("iou_token.weight", [1, width]),
      w.takeHost("mask_tokens.weight", [masks, width]),
    ];
    this.outputTokens = Promise.all(parts).then((rows) => Float32Array.from(rows.flatMap((r) => [...r])));
    this.outputTokens.catch(() => {}); // its readers are told
  }

  /** @param multimask whether the answer is the several masks for an ambiguous prompt, or the one for a clear one */
  forward(cmd: Recorder, inputs: SamDecoderInputs, multimask: boolean): SamDecoderOutput {
    const [, width, grid] = inputs.image.shape as [number, number, number];
    const prompts = inputs.tokens.shape[0] as number;
    const dense = add(cmd, inputs.image, inputs.dense); // [1 | P, C, g, g]
    const flat = dense.reshape([dense.shape[0] as number, width, grid * grid]);
    const image = permute(cmd, flat, [0, 2, 1]); // [1 | P, N, C]
    const { blocks, last } = this.transformer.forward(cmd, inputs.tokens, image, inputs.positions);
    const tokens = last.queries; // [P, T, C]
    const keys = permute(cmd, last.keys, [0, 2, 1]); // [P, C, N]
    const upscaled = this.#upscale(cmd, keys.reshape([prompts, width, grid, grid])); // [P, C / 8, 4g, 4g]

    const { num_multimask_outputs: several } = this.config;
    const [first, end] = multimask ? [1, several + 1] : [0, 1];
    const token = (i: number) => slice(cmd, tokens, [0, i, 0], [prompts, i + 1, width]); // [P, 1, C]
    const weights = this.hypernetworks
      .slice(first, end)
      .map((network, i) => network.forward(cmd, token(1 + first + i))); // [P, 1, C / 8] each
    const hyper = weights.length > 1 ? concat(cmd, weights, 1) : (weights[0] as Tensor); // [P, K, C / 8]
    const side = 4 * grid;
    const features = upscaled.reshape([prompts, width / 8, side * side]); // [P, C / 8, 16·N]
    const predMasks = matmul(cmd, hyper, features).reshape([prompts, end - first, side, side]); // [P, K, 4g, 4g]
    const scores = this.iouHead.forward(cmd, token(0).reshape([prompts, width])); // [P, 1 + several]
    const iouScores = slice(cmd, scores, [0, first], [prompts, end]); // [P, K]
    return { blocks: blocks.map(({ queries }) => queries), tokens, predMasks, iouScores };
  }

  /** [P, C, g, g] -> [P, C / 8, 4g, 4g] */
  #upscale(cmd: Recorder, x: Tensor): Tensor {
    const { weight, bias, eps } = this.#upscaleNorm;
    const double = convTranspose2d(cmd, x, this.#upscale1.weight, { bias: this.#upscale1.bias, stride: 2 }); // [P, C / 4, 2g, 2g]
    const normed = gelu(cmd, layerNorm2d(cmd, double, weight, bias, eps)); // [P, C / 4, 2g, 2g]
    const { weight: last, bias: lastBias } = this.#upscale2;
    return convTranspose2d(cmd, normed, last, { bias: lastBias, stride: 2, activation: "gelu" });
  }
}
