import { type Activation, concat, type Recorder, slice, type Tensor } from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { ClipVisionTower } from "../clip/index.ts";
import { LlamaNetwork, type RopeTable } from "../llama/index.ts";
import { Linear } from "../nn/index.ts";
import type { LlavaConfig } from "./config.ts";

/** Linear, activation, Linear: from the vision tower's width to the decoder's (Liu et al. 2023, LLaVA-1.5). */
export class MultiModalProjector {
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly activation: Activation;

  constructor(
    w: Weights,
    options: { inputs: number; outputs: number; bias: boolean; activation: Activation },
  ) {
    const { inputs, outputs, bias } = options;
    this.activation = options.activation;
    this.linear1 = Linear.load(w.at("linear_1"), inputs, outputs, { bias });
    this.linear2 = Linear.load(w.at("linear_2"), outputs, outputs, { bias });
  }

  /** [.., Dv] -> [.., D] */
  forward(cmd: Recorder, x: Tensor): Tensor {
    return this.linear2.forward(cmd, this.linear1.forward(cmd, x, { activation: this.activation }));
  }
}

/** LLaVA-1.5: a CLIP tower, a projector, a LLaMA decoder (transformers' `LlavaForConditionalGeneration`). */
export class LlavaNetwork {
  readonly config: LlavaConfig;
  readonly vision: ClipVisionTower;
  readonly projector: MultiModalProjector;
  readonly language: LlamaNetwork;

  constructor(w: Weights, config: LlavaConfig, rope: RopeTable) {
    this.config = config;
    this.vision = new ClipVisionTower(w.at("vision_tower.vision_model"), config.vision_config, {
      postNorm: "optional",
    });
    this.projector = new MultiModalProjector(w.at("multi_modal_projector"), {
      inputs: config.vision_config.hidden_size * config.featureLayers.length,
      outputs: config.text_config.hidden_size,
      bias: config.multimodal_projector_bias,
      activation: config.projector_hidden_act,
    });
    this.language = new LlamaNetwork(w.at("language_model"), config.text_config, rope);
  }

  /** Visual tokens that a picture becomes. */
  get visualTokens(): number {
    const { rows, columns } = this.vision.grid;
    return rows * columns + (this.config.vision_feature_select_strategy === "full" ? 1 : 0);
  }

  /**
   * The tower's features before the projector: the chosen hidden states side by side, without the class token by default.
   * @param pixels [I, 3, S, S]
   * @returns [I, n, Dv]
   */
  visualTokensOf(cmd: Recorder, pixels: Tensor): Tensor {
    const { featureLayers, vision_feature_select_strategy: strategy } = this.config;
    const { hiddenStates } = this.vision.forward(cmd, pixels, { layers: Math.max(...featureLayers) });
    const states = featureLayers.map((layer) => hiddenStates[layer] as Tensor); // each [I, 1+N, D]
    const features = states.length === 1 ? (states[0] as Tensor) : concat(cmd, states, 2); // [I, 1+N, Dv]
    if (strategy === "full") return features;
    const [images, tokens, width] = features.shape as [number, number, number];
    return slice(cmd, features, [0, 1, 0], [images, tokens, width]); // [I, N, Dv]
  }

  /** pixels [I, 3, S, S] -> [I, n, D] */
  imageFeatures(cmd: Recorder, pixels: Tensor): Tensor {
    return this.projector.forward(cmd, this.visualTokensOf(cmd, pixels));
  }
}
