import { mostHeadElements, mostLayers } from "../nn/index.ts";
import type { GgufTensor } from "./header.ts";
import type { GgufMetadata } from "./metadata.ts";

/** A decoder's `config.json` in Hugging Face's terms. */
export interface LlamaConfigJson {
  readonly model_type: "llama";
  readonly architectures: readonly string[];
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly [field: string]: unknown;
}

/** Throws a ConfigError unless the file says that it is of `architecture`. */
export function requireArchitecture(metadata: GgufMetadata, architecture: string, hint = ""): void {
  const key = "general.architecture";
  if (metadata.string(key) === architecture) return;
  throw metadata.error(key, `is not supported${hint}`, JSON.stringify(architecture));
}

/**
 * The configuration of a file of architecture `llama` (ggml's docs/gguf.md; llama.cpp's LLM_ARCH_LLAMA). What would change
 * the result and is not computed is refused: experts, part of a head rotated, other rotary scalings.
 * @param ropeFactors values of `rope_freqs.weight`: what each rotary frequency is divided by
 */
export function llamaConfig(
  metadata: GgufMetadata,
  tensors: ReadonlyMap<string, GgufTensor>,
  ropeFactors: readonly number[] | undefined,
): LlamaConfigJson {
  const hint = metadata.has("clip.has_vision_encoder")
    ? ": this is the mmproj file of a model, which goes beside its GGUF file or behind --mmproj"
    : "";
  requireArchitecture(metadata, "llama", hint);
  const width = metadata.count("llama.embedding_length");
  const heads = metadata.count("llama.attention.head_count");
  const kvHeads = metadata.optionalCount("llama.attention.head_count_kv", 1) ?? heads;
  if (heads % kvHeads !== 0) {
    throw metadata.error(
      "llama.attention.head_count_kv",
      "does not divide head_count",
      `a divisor of ${heads}`,
    );
  }
  if ((metadata.optionalCount("llama.expert_count") ?? 0) > 0) {
    throw metadata.error("llama.expert_count", "is not supported: a mixture of experts", "0");
  }
  return {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    vocab_size: vocabularySize(metadata, tensors),
    hidden_size: width,
    intermediate_size: metadata.count("llama.feed_forward_length"),
    num_hidden_layers: metadata.count("llama.block_count", mostLayers),
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headSize(metadata, width, heads),
    hidden_act: "silu",
    max_position_embeddings: metadata.count("llama.context_length"),
    rms_norm_eps: metadata.number("llama.attention.layer_norm_rms_epsilon"),
    tie_word_embeddings: !tensors.has("output.weight"),
    attention_bias: tensors.has("blk.0.attn_q.bias"),
    mlp_bias: tensors.has("blk.0.ffn_up.bias"),
    rope_parameters: ropeParameters(metadata, ropeFactors),
  };
}

/** Rows of the embedding; the metadata, where they say it, must agree. */
function vocabularySize(metadata: GgufMetadata, tensors: ReadonlyMap<string, GgufTensor>): number {
  const said = metadata.optionalCount("llama.vocab_size", 1);
  const rows = tensors.get("token_embd.weight")?.shape[0];
  if (said !== undefined && rows !== undefined && said !== rows) {
    throw metadata.error("llama.vocab_size", "is not the number of rows of token_embd.weight", String(rows));
  }
  return rows ?? said ?? metadata.strings("tokenizer.ggml.tokens").length;
}

function headSize(metadata: GgufMetadata, width: number, heads: number): number {
  const keys = metadata.optionalCount("llama.attention.key_length", 1);
  if (keys === undefined && width % heads !== 0) {
    throw metadata.error(
      "llama.attention.head_count",
      "does not divide embedding_length, and there is no key_length",
      `a divisor of ${width}`,
    );
  }
  const size = keys ?? width / heads;
  if (size > mostHeadElements) {
    throw metadata.error(
      keys === undefined ? "llama.attention.head_count" : "llama.attention.key_length",
      `gives heads of ${size} elements`,
      `at most ${mostHeadElements} of them`,
    );
  }
  for (const key of ["llama.attention.value_length", "llama.rope.dimension_count"]) {
    const other = metadata.optionalCount(key, 1);
    if (other !== undefined && other !== size) {
      throw metadata.error(key, "is not supported where it is not the size of a head", String(size));
    }
  }
  if (size % 2 !== 0) {
    throw metadata.error(
      keys === undefined ? "llama.attention.head_count" : "llama.attention.key_length",
      `gives heads of ${size}: rotary positions need pairs`,
    );
  }
  return size;
}

function ropeParameters(metadata: GgufMetadata, factors: readonly number[] | undefined) {
  const rope_theta = metadata.optionalNumber("llama.rope.freq_base") ?? 10000;
  const typeKey = "llama.rope.scaling.type";
  const type = metadata.optionalString(typeKey);
  // files of before rope.scaling had the factor of linear scaling alone
  const older = metadata.optionalNumber("llama.rope.scale_linear");
  const linear = type === "linear" || (type === undefined && older !== undefined && older !== 1);
  if (type !== undefined && type !== "none" && type !== "linear") {
    throw metadata.error(typeKey, "is not supported", '"none" or "linear"');
  }
  if (linear && factors) {
    throw metadata.error(typeKey, "is not supported together with rope_freqs.weight", '"none"');
  }
  if (linear) {
    const factor = metadata.optionalNumber("llama.rope.scaling.factor") ?? older;
    if (factor === undefined)
      throw metadata.error("llama.rope.scaling.factor", "is missing", "a number above 0");
    return { rope_type: "linear", rope_theta, factor };
  }
  if (factors) return { rope_type: "freq_factors", rope_theta, freq_factors: factors };
  return { rope_type: "default", rope_theta };
}
