import { type LlamaConfig, type WeightDType, weightTarget } from "@mask-llava/models";
import { byteLength, type Shape } from "@mask-llava/runtime";

/** Bytes of a decoder's weights held as `dtype`, by its shapes. */
export function decoderBytes(config: LlamaConfig, dtype: WeightDType): number {
  const { hidden_size: d, intermediate_size: f, num_hidden_layers: layers, vocab_size: v } = config;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: size } = config;
  const held = (role: "linear" | "vocabulary", shape: Shape) =>
    byteLength({ shape, dtype: weightTarget(dtype, role) });
  const attention = held("linear", [(2 * heads + 2 * kvHeads) * size, d]); // q, k, v, o
  const mlp = held("linear", [3 * f, d]); // gate, up, down
  const norms = 4 * d * (2 * layers + 1);
  return layers * (attention + mlp) + norms + 2 * held("vocabulary", [v, d]);
}

/**
 * Bytes of the widest moment of a layer, in f32: the residual stream, its normed copy, and the three inner rows of a gated
 * MLP. What comes before is freed by then.
 */
export function activationBytes({ hidden_size: d, intermediate_size: f }: LlamaConfig, rows: number): number {
  return 4 * rows * (2 * d + 3 * f);
}
