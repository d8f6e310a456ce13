import {
  attention,
  embedding,
  gatedLinear,
  linear,
  type NormedInput,
  type Recorder,
  rmsNorm,
  ropeAppend,
  slice,
  type Tensor,
} from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { arithmeticOf, Linear, normedLayerInput, StackedLinear } from "../nn/index.ts";
import type { LlamaConfig } from "./config.ts";
import type { KvCache } from "./kv-cache.ts";
import type { RopeTable } from "./rope-table.ts";

/** Where a layer's keys and values go, and at which position the first token stands. */
interface Past {
  readonly keys: Tensor; // [B, capacity, Hkv, d]
  readonly values: Tensor; // [B, capacity, Hkv, d]
  readonly start: Tensor; // u32 [B]
  readonly inverseFrequencies: Tensor; // [d/2]
  readonly attentionScaling: number;
}

class LlamaAttention {
  readonly qkv: StackedLinear;
  readonly o: Linear;

  constructor(w: Weights, config: LlamaConfig) {
    const { hidden_size: width, head_dim: d } = config;
    const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
    const options = { bias: config.attention_bias, role: "linear" } as const;
    const projections = [
      ["q_proj", heads * d],
      ["k_proj", kvHeads * d],
      ["v_proj", kvHeads * d],
    ] as const;
    this.qkv = StackedLinear.load(w, width, projections, options);
    this.o = Linear.load(w.at("o_proj"), heads * d, width, options);
  }

  forward(cmd: Recorder, { x, norm }: NormedInput, residual: Tensor, past: Past): Tensor {
    const [batch, tokens] = x.shape as [number, number, number]; // x [B, T, D]
    const { inverseFrequencies: invFreq, start, keys, values, attentionScaling } = past;
    const qkv = this.qkv.forward(cmd, x, { norm }); // [B, T, (H + 2 Hkv)·d]
    const caches = { kCache: keys, vCache: values };
    const q = ropeAppend(cmd, { qkv, invFreq, start, ...caches }, { attentionScaling }); // [B, T, H, d]; keys and values now hold the new rows
    const mixed = attention(cmd, q, keys, values, { causal: true, start }); // [B, T, H, d]
    return this.o.forward(cmd, mixed.reshape([batch, tokens, -1]), { residual }); // [B, T, D]
  }
}

class LlamaBlock {
  readonly inputNorm: Tensor; // [D]
  readonly attention: LlamaAttention;
  readonly postNorm: Tensor; // [D]
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
  readonly config: LlamaConfig;

  constructor(w: Weights, config: LlamaConfig) {
    this.config = config;
    const { hidden_size: width, intermediate_size: inner, mlp_bias: bias } = config;
    const options = { bias, role: "linear" } as const;
    this.inputNorm = w.take("input_layernorm.weight", [width], { dtype: "f32" });
    this.attention = new LlamaAttention(w.at("self_attn"), config);
    this.postNorm = w.take("post_attention_layernorm.weight", [width], { dtype: "f32" });
    this.gate = Linear.load(w.at("mlp.gate_proj"), width, inner, options);
    this.up = Linear.load(w.at("mlp.up_proj"), width, inner, options);
    this.down = Linear.load(w.at("mlp.down_proj"), inner, width, options);
  }

  forward(cmd: Recorder, x: Tensor, past: Past): Tensor {
    const { rms_norm_eps: eps, hidden_act: activation } = this.config;
    const before = normedLayerInput(cmd, x, { gain: this.inputNorm, eps }, this.attention.qkv.weights); // [B, T, D]
    const y = this.attention.forward(cmd, before, x, past); // x + Attn(RMS(x)) [B, T, D]
    const h = normedLayerInput(cmd, y, { gain: this.postNorm, eps }, [this.gate.weight, this.up.weight]); // [B, T, D]
    const matrices = { gate: this.gate.weight, up: this.up.weight };
    const biases = { gateBias: this.gate.bias, upBias: this.up.bias };
    const arithmetic = arithmeticOf(cmd, h.x, Object.values(matrices));
    const gated = gatedLinear(cmd, h, { ...matrices, ...biases }, activation, arithmetic); // act(gate) · up [B, T, F]
    return this.down.forward(cmd, gated, { residual: y }); // [B, T, D]
  }
}

export interface LlamaOutput {
  /** `hiddenStates[i]` enters block i; the last leaves the last block (Hugging Face's tuple has it normed). [B, T, D] */
  readonly hiddenStates: readonly Tensor[];
  /** Behind the final norm. [B, T, D] */
  readonly lastHiddenState: Tensor;
}

/** A LLaMA decoder (Touvron et al. 2023; transformers' `LlamaForCausalLM`). */
export class LlamaNetwork {
  readonly config: LlamaConfig;
  readonly blocks: readonly LlamaBlock[];
  readonly embedTokens: Tensor; // [V, D]
  readonly norm: Tensor; // [D]
  readonly head: Tensor; // [V, D]
  readonly inverseFrequencies: Tensor; // [d/2]
  readonly #attentionScaling: number;

  /** Takes `model.embed_tokens`, `model.layers…`, `model.norm` and, unless tied, `lm_head` at the cursor. */
  constructor(w: Weights, config: LlamaConfig, rope: RopeTable) {
    this.config = config;
    const { vocab_size: vocabulary, hidden_size: width } = config;
    const options = { role: "vocabulary" } as const;
    this.embedTokens = w.take("model.embed_tokens.weight", [vocabulary, width], options);
    this.blocks = Array.from(
      { length: config.num_hidden_layers },
      (_, i) => new LlamaBlock(w.at(`model.layers.${i}`), config),
    );
    this.norm = w.take("model.norm.weight", [width], { dtype: "f32" });
    // tied files may store the head all the same: then it is the same matrix
    const ownHead = !config.tie_word_embeddings || w.has("lm_head.weight");
    this.head = ownHead ? w.take("lm_head.weight", [vocabulary, width], options) : this.embedTokens;
    this.inverseFrequencies = rope.inverseFrequencies;
    this.#attentionScaling = rope.attentionScaling;
  }

  /** ids u32 [B, T] -> [B, T, D] */
  embed(cmd: Recorder, ids: Tensor): Tensor {
    return embedding(cmd, this.embedTokens, ids);
  }

  /**
   * Runs tokens at positions `start`, `start` + 1, … and appends their keys and values to the cache.
   * @param x [B, T, D]
   * @param start u32 [B]: how many positions the cache holds already
   */
  forward(cmd: Recorder, x: Tensor, cache: KvCache, start: Tensor): LlamaOutput {
    const hiddenStates = [x];
    let h = x;
    this.blocks.forEach((block, i) => {
      const past = { keys: cache.keys[i] as Tensor, values: cache.values[i] as Tensor, start };
      h = block.forward(cmd, h, {
        ...past,
        inverseFrequencies: this.inverseFrequencies,
        attentionScaling: this.#attentionScaling,
      }); // [B, T, D]
      hiddenStates.push(h);
    });
    return { hiddenStates, lastHiddenState: rmsNorm(cmd, h, this.norm, this.config.rms_norm_eps) };
  }

  /** [.., D] -> [.., V] */
  logits(cmd: Recorder, hidden: Tensor): Tensor {
    return linear(cmd, hidden, this.head);
  }

  /** The last position's row of [B, T, D]: [B, D] */
  lastRow(cmd: Recorder, hidden: Tensor): Tensor {
    const [batch, tokens, width] = hidden.shape as [number, number, number];
    return slice(cmd, hidden, [0, tokens - 1, 0], [batch, tokens, width]).reshape([batch, width]);
  }
}
