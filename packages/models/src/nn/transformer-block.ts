import { type Activation, attention, type Recorder, type Tensor } from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { LayerNorm } from "./layer-norm.ts";
import { Linear } from "./linear.ts";

export interface BlockConfig {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_attention_heads: number;
  readonly layer_norm_eps: number;
  readonly hidden_act: Activation;
}

/** Multi-head self-attention with the names of Hugging Face's CLIP: `q_proj`, `k_proj`, `v_proj`, `out_proj`. */
export class SelfAttention {
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
    this.out = Linear.load(w.at("out_proj"), width, width);
  }

  /** softmax(QKᵀ/√d)V Wo + residual. */
  forward(cmd: Recorder, x: Tensor, options: { causal: boolean; residual: Tensor }): Tensor {
    const [batch, tokens, width] = x.shape as [number, number, number]; // x [B, T, D]
    const split = [batch, tokens, this.heads, width / this.heads];
    const q = this.q.forward(cmd, x).reshape(split); // [B, T, H, d]
    const k = this.k.forward(cmd, x).reshape(split); // [B, T, H, d]
    const v = this.v.forward(cmd, x).reshape(split); // [B, T, H, d]
    const mixed = attention(cmd, q, k, v, { causal: options.causal }).reshape(x.shape); // [B, T, D]
    return this.out.forward(cmd, mixed, { residual: options.residual }); // [B, T, D]
  }
}

/** The pre-norm transformer block of CLIP's towers (Radford et al. 2021; `CLIPEncoderLayer` in transformers). */
export class TransformerBlock {
  readonly norm1: LayerNorm;
  readonly attention: SelfAttention;
  readonly norm2: LayerNorm;
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly activation: Activation;

  constructor(w: Weights, config: BlockConfig) {
    const { hidden_size: width, intermediate_size: inner, layer_norm_eps: eps } = config;
    this.norm1 = LayerNorm.load(w.at("layer_norm1"), width, eps);
    this.attention = new SelfAttention(w.at("self_attn"), width, config.num_attention_heads);
    this.norm2 = LayerNorm.load(w.at("layer_norm2"), width, eps);
    this.fc1 = Linear.load(w.at("mlp.fc1"), width, inner);
    this.fc2 = Linear.load(w.at("mlp.fc2"), inner, width);
    this.activation = config.hidden_act;
  }

  forward(cmd: Recorder, x: Tensor, options: { causal: boolean }): Tensor {
    const normed = this.norm1.forward(cmd, x); // [B, T, D]
    const y = this.attention.forward(cmd, normed, { ...options, residual: x }); // x + MSA(LN(x))
    const h = this.fc1.forward(cmd, this.norm2.forward(cmd, y), { activation: this.activation }); // [B, T, F]
    return this.fc2.forward(cmd, h, { residual: y }); // y + MLP(LN(y)) [B, T, D]
  }
}
