import type { GgufTensor } from "./header.ts";

/** Names of a decoder's tensors in Hugging Face's LLaMA, by llama.cpp's (gguf-py's TENSOR_NAMES of MODEL_ARCH.LLAMA). */
const decoder: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** The same of a vision tower and projector in an mmproj file. */
const vision: Readonly<Record<string, string>> = {
  "v.class_embd": "embeddings.class_embedding",
  "v.patch_embd": "embeddings.patch_embedding",
  "v.position_embd": "embeddings.position_embedding",
  "v.pre_ln": "pre_layrnorm",
  "v.post_ln": "post_layernorm",
  ln1: "layer_norm1",
  ln2: "layer_norm2",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_out: "self_attn.out_proj",
  ffn_up: "mlp.fc1",
  ffn_down: "mlp.fc2",
};

const leafOf = (name: string): [module: string, leaf: string] => {
  const match = /^(.*)\.(weight|bias)$/.exec(name);
  return match ? [match[1] as string, match[2] as string] : [name, ""];
};

const join = (...parts: string[]) => parts.filter((part) => part !== "").join(".");

/** Hugging Face's name of a decoder's tensor; unknown names stay, so that loading refuses them. */
export function decoderName(name: string): string {
  const [module, leaf] = leafOf(name);
  const [, layer, inLayer] = /^blk\.(\d+)\.(.+)$/.exec(module) ?? [];
  const known = Object.hasOwn(decoder, inLayer ?? module) ? decoder[inLayer ?? module] : undefined;
  if (known === undefined) return name;
  return join(layer === undefined ? "" : `model.layers.${layer}`, known, leaf);
}

/**
 * Hugging Face's name of a tensor of an mmproj file, in a LLaVA model. `swapped`: the first converters called fc1
 * `ffn_down` and fc2 `ffn_up`.
 */
export function visionName(name: string, swapped: boolean): string {
  const [module, leaf] = leafOf(name);
  const projector = { "mm.0": "linear_1", "mm.2": "linear_2" }[module];
  if (projector) return join("multi_modal_projector", projector, leaf);
  const [, layer, inLayer] = /^v\.blk\.(\d+)\.(.+)$/.exec(module) ?? [];
  const key = inLayer === undefined ? module : swapped ? unswap(inLayer) : inLayer;
  const known = Object.hasOwn(vision, key) ? vision[key] : undefined;
  if (known === undefined) return name;
  return join("vision_tower.vision_model", layer === undefined ? "" : `encoder.layers.${layer}`, known, leaf);
}

const unswap = (name: string) => ({ ffn_up: "ffn_down", ffn_down: "ffn_up" })[name] ?? name;

/** Whether a file's `ffn_down` reads the tower's width, as only the first converters' do (llama.cpp's clip.cpp tells so). */
export function feedForwardSwapped(tensors: ReadonlyMap<string, GgufTensor>, width: number): boolean {
  const down = tensors.get("v.blk.0.ffn_down.weight")?.shape;
  return down !== undefined && down[1] === width && down[0] !== width;
}
