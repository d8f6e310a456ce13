import type { RenameRule } from "../checkpoint/index.ts";

/** Buffers that older files store and nobody needs. */
export const clipIgnored = [/(^|\.)position_ids$/];

/** A vision tower alone (`CLIPVisionModel`), or within a whole model: both are read at `vision_model`. */
export const clipVisionNames: readonly RenameRule[] = [
  { from: /^(?=embeddings\.|pre_layrnorm|encoder\.|post_layernorm)/, to: "vision_model." },
];
