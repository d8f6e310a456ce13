import { type Activation, add, type Recorder, type Tensor } from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { LayerNorm, Linear } from "../nn/index.ts";
import { DeformableAttention, type Memory, QueryAttention } from "./attention.ts";
import type { DeformableDetrConfig } from "./config.ts";

/** Of every layer norm: PyTorch's default, which the reference does not change. */
export const normEps = 1e-5;

/** LN(x + MLP(x)), the end of every layer. */
class FeedForward {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly norm: LayerNorm;
  readonly activation: Activation;

  constructor(w: Weights, width: number, inner: number, activation: Activation) {
    this.fc1 = Linear.load(w.at("mlp.fc1"), width, inner);
    this.fc2 = Linear.load(w.at("mlp.fc2"), inner, width);
    this.norm = LayerNorm.load(w.at("final_layer_norm"), width, normEps);
    this.activation = activation;
  }

  forward(cmd: Recorder, x: Tensor): Tensor {
    const h = this.fc1.forward(cmd, x, { activation: this.activation }); // [B, T, F]
    return this.norm.forward(cmd, this.fc2.forward(cmd, h, { residual: x })); // [B, T, D]
  }
}

/** `DeformableDetrEncoderLayer`: every cell of the feature maps attends to places around itself. */
export class EncoderLayer {
  readonly attention: DeformableAttention;
  readonly attentionNorm: LayerNorm;
  readonly feedForward: FeedForward;

  constructor(w: Weights, c: DeformableDetrConfig) {
    const { d_model: width, encoder_attention_heads: heads, encoder_n_points: points } = c;
    this.attention = new DeformableAttention(w.at("self_attn"), width, heads, c.num_feature_levels, points);
    this.attentionNorm = LayerNorm.load(w.at("self_attn_layer_norm"), width, normEps);
    this.feedForward = new FeedForward(w, width, c.encoder_ffn_dim, c.activation_function);
  }

  /** memory [B, S, D], positions [B, S, D], references [B, S, L, 2] -> [B, S, D] */
  forward(cmd: Recorder, memory: Memory, positions: Tensor, references: Tensor): Tensor {
    const x = memory.states; // [B, S, D]
    const attended = this.attention.forward(cmd, add(cmd, x, positions), references, memory, x); // [B, S, D]
    return this.feedForward.forward(cmd, this.attentionNorm.forward(cmd, attended)); // [B, S, D]
  }
}

/** `DeformableDetrDecoderLayer`: queries attend to each other and then to the memory around their reference points. */
export class DecoderLayer {
  readonly selfAttention: QueryAttention;
  readonly selfNorm: LayerNorm;
  readonly crossAttention: DeformableAttention;
  readonly crossNorm: LayerNorm;
  readonly feedForward: FeedForward;

  constructor(w: Weights, c: DeformableDetrConfig) {
    const { d_model: width, decoder_attention_heads: heads, decoder_n_points: points } = c;
    this.selfAttention = new QueryAttention(w.at("self_attn"), width, heads);
    this.selfNorm = LayerNorm.load(w.at("self_attn_layer_norm"), width, normEps);
    this.crossAttention = new DeformableAttention(
      w.at("encoder_attn"),
      width,
      heads,
      c.num_feature_levels,
      points,
    );
    this.crossNorm = LayerNorm.load(w.at("encoder_attn_layer_norm"), width, normEps);
    this.feedForward = new FeedForward(w, width, c.decoder_ffn_dim, c.activation_function);
  }

  /** x [B, Q, D], positions [B | 1, Q, D], references [B, Q, L, 2 | 4] -> [B, Q, D] */
  forward(cmd: Recorder, x: Tensor, positions: Tensor, references: Tensor, memory: Memory): Tensor {
    const own = this.selfNorm.forward(cmd, this.selfAttention.forward(cmd, x, positions)); // [B, Q, D]
    const query = add(cmd, own, positions); // [B, Q, D]
    const seen = this.crossAttention.forward(cmd, query, references, memory, own); // [B, Q, D]
    return this.feedForward.forward(cmd, this.crossNorm.forward(cmd, seen)); // [B, Q, D]
  }
}
