import type { RenameRule } from "../checkpoint/index.ts";

/**
 * LLaVA's names changed with transformers' releases; all are read as the hub's llava-hf files have them:
 * `language_model.model.…`, `language_model.lm_head.weight`, `vision_tower.vision_model.…`, `multi_modal_projector.…`.
 */
export const llavaNames: readonly RenameRule[] = [
  { from: /^model\.(?=(language_model|vision_tower|multi_modal_projector)\.)/, to: "" },
  { from: /^lm_head\./, to: "language_model.lm_head." },
  { from: /^language_model\.(?!model\.|lm_head\.)/, to: "language_model.model." },
  { from: /^vision_tower\.(?!vision_model\.)/, to: "vision_tower.vision_model." },
];

/** Buffers that older files store and nobody needs. */
export const llavaIgnored = [/(^|\.)position_ids$/, /\.rotary_emb\.inv_freq$/];
