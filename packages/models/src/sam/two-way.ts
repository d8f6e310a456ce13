import { type Activation, add, attention, concat, type Recorder, type Tensor } from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { LayerNorm, Linear } from "../nn/index.ts";
import type { SamMaskDecoderConfig } from "./config.ts";

/** Of the last norm, which transformers builds with PyTorch's default. */
const lastNormEps = 1e-5;

/** Attention between tokens and image at a reduced width (`SamAttention`). */
class DecoderAttention {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly out: Linear;
  readonly heads: number;

  constructor(w: Weights, config: SamMaskDecoderConfig, downsample: number) {
    const { hidden_size: width } = config;
    const inner = width / downsample;
    this.heads = config.num_attention_heads;
    this.q = Linear.load(w.at("q_proj"), width, inner);
    this.k = Linear.load(w.at("k_proj"), width, inner);
    this.v = Linear.load(w.at("v_proj"), width, inner);
    this.out = Linear.load(w.at("out_proj"), inner, width);
  }

  /**
   * residual + Attention(query, key, value): [B, Tq, C], [B, Tk, C], [B, Tk, C] -> [B, Tq, C]. Where all prompts share an
   * image, what stands for it has a batch of 1 and is projected once.
   */
  forward(cmd: Recorder, query: Tensor, key: Tensor, value: Tensor, residual?: Tensor): Tensor {
    const [q, k, v] = [this.q.forward(cmd, query), this.k.forward(cmd, key), this.v.forward(cmd, value)];
    const mixed = this.#mix(cmd, this.#apart(q), this.#apart(k), this.#apart(v)); // [B, Tq, c]
    if (!residual) return this.out.forward(cmd, mixed); // [B, Tq, C]
    if (residual.shape[0] === mixed.shape[0]) return this.out.forward(cmd, mixed, { residual }); // [B, Tq, C]
    return add(cmd, this.out.forward(cmd, mixed), residual); // [B, Tq, C]
  }

  /** [B, T, c] -> [B, T, H, d] */
  #apart(x: Tensor): Tensor {
    const [batch, tokens, inner] = x.shape as [number, number, number];
    return x.reshape([batch, tokens, this.heads, inner / this.heads]);
  }

  #mix(cmd: Recorder, q: Tensor, k: Tensor, v: Tensor): Tensor {
    const [batchQ, tokens, heads, size] = q.shape as [number, number, number, number];
    const batchK = k.shape[0] as number;
    if (batchK === 1) {
      // queries do not see each other: those of all prompts ask the one image together
      const asked = attention(cmd, q.reshape([1, batchQ * tokens, heads, size]), k, v); // [1, B·Tq, H, d]
      return asked.reshape([batchQ, tokens, heads * size]);
    }
    const each = batchQ === 1 ? concat(cmd, Array<Tensor>(batchK).fill(q), 0) : q; // [B, Tq, H, d]
    return attention(cmd, each, k, v).reshape([batchK, tokens, heads * size]); // [B, Tq, c]
  }
}

/** Tokens and image on their way through the decoder. */
export interface TwoWayState {
  /** [P, T, C] */
  readonly queries: Tensor;
  /** [1 | P, N, C] */
  readonly keys: Tensor;
}

/** What positions add to queries and keys before each attention. */
interface Places {
  /** The tokens as they came. [P, T, C] */
  readonly queries: Tensor;
  /** [1, N, C] */
  readonly keys: Tensor;
}

/** `SamTwoWayAttentionBlock`: tokens to tokens, tokens to image, MLP, image to tokens. */
class TwoWayBlock {
  readonly selfAttention: DecoderAttention;
  readonly toImage: DecoderAttention;
  readonly fromImage: DecoderAttention;
  readonly norms: readonly [LayerNorm, LayerNorm, LayerNorm, LayerNorm];
  readonly lin1: Linear;
  readonly lin2: Linear;
  readonly activation: Activation;
  /** The first block has no positions to add to its own attention, nor a residual around it. */
  readonly first: boolean;

  constructor(w: Weights, config: SamMaskDecoderConfig, first: boolean) {
    const { hidden_size: width, mlp_dim: inner, attention_downsample_rate: downsample } = config;
    this.first = first;
    this.selfAttention = new DecoderAttention(w.at("self_attn"), config, 1);
    this.toImage = new DecoderAttention(w.at("cross_attn_token_to_image"), config, downsample);
    this.fromImage = new DecoderAttention(w.at("cross_attn_image_to_token"), config, downsample);
    const norm = (i: number) => LayerNorm.load(w.at(`layer_norm${i}`), width, config.layer_norm_eps);
    this.norms = [norm(1), norm(2), norm(3), norm(4)];
    this.lin1 = Linear.load(w.at("mlp.lin1"), width, inner);
    this.lin2 = Linear.load(w.at("mlp.lin2"), inner, width);
    this.activation = config.hidden_act;
  }

  forward(cmd: Recorder, { queries: x, keys }: TwoWayState, places: Places): TwoWayState {
    const [norm1, norm2, norm3, norm4] = this.norms;
    const placed = this.first ? x : add(cmd, x, places.queries); // [P, T, C]
    const own = this.selfAttention.forward(cmd, placed, placed, x, this.first ? undefined : x); // [P, T, C]
    const talked = norm1.forward(cmd, own); // [P, T, C]
    const placedKeys = add(cmd, keys, places.keys); // [1 | P, N, C]
    const asking = add(cmd, talked, places.queries); // [P, T, C]
    const seen = this.toImage.forward(cmd, asking, placedKeys, keys, talked); // [P, T, C]
    const looked = norm2.forward(cmd, seen); // [P, T, C]
    const h = this.lin1.forward(cmd, looked, { activation: this.activation }); // [P, T, F]
    const queries = norm3.forward(cmd, this.lin2.forward(cmd, h, { residual: looked })); // [P, T, C]
    const answering = add(cmd, queries, places.queries); // [P, T, C]
    const told = this.fromImage.forward(cmd, placedKeys, answering, queries, keys); // [P, N, C]
    return { queries, keys: norm4.forward(cmd, told) };
  }
}

/** SAM's two-way transformer (`SamTwoWayTransformer`). */
export class TwoWayTransformer {
  readonly blocks: readonly TwoWayBlock[];
  readonly lastAttention: DecoderAttention;
  readonly lastNorm: LayerNorm;

  constructor(w: Weights, config: SamMaskDecoderConfig) {
    this.blocks = Array.from(
      { length: config.num_hidden_layers },
      (_, i) => new TwoWayBlock(w.at(`layers.${i}`), config, i === 0),
    );
    this.lastAttention = new DecoderAttention(
      w.at("final_attn_token_to_image"),
      config,
      config.attention_downsample_rate,
    );
    this.lastNorm = LayerNorm.load(w.at("layer_norm_final_attn"), config.hidden_size, lastNormEps);
  }

  /**
   * tokens [P, T, C], image [1 | P, N, C], positions [1, N, C].
   * @returns the state behind each block, and behind the last attention
   */
  forward(
    cmd: Recorder,
    tokens: Tensor,
    image: Tensor,
    positions: Tensor,
  ): { blocks: readonly TwoWayState[]; last: TwoWayState } {
    const places = { queries: tokens, keys: positions };
    const blocks: TwoWayState[] = [];
    let state: TwoWayState = { queries: tokens, keys: image };
    for (const block of this.blocks) {
      state = block.forward(cmd, state, places);
      blocks.push(state);
    }
    const { queries, keys } = state;
    const asking = add(cmd, queries, tokens); // [P, T, C]
    const placedKeys = add(cmd, keys, positions); // [1 | P, N, C]
    const seen = this.lastAttention.forward(cmd, asking, placedKeys, keys, queries); // [P, T, C]
    return { blocks, last: { queries: this.lastNorm.forward(cmd, seen), keys } };
  }
}
