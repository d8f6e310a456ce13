import { parseConfig } from "@mask-llava/models";
import { z } from "zod";

const count = z.int().positive();
const share = z.number().min(0).max(1);

/** A sub-folder: relative, within the checkpoint's folder. */
const subFolder = z
  .string()
  .min(1)
  .refine(
    (name) =>
      !name.split(/[\\/]/).some((part) => part === ".." || part === "" || part === ".") &&
      !/^[A-Za-z]:/.test(name),
    {
      message: "must be a relative folder name within the checkpoint, without '..'",
    },
  );

const orderSchema = z
  .array(z.enum(["cls", "patches", "objects", "background"]))
  .refine((kinds) => new Set(kinds).size === kinds.length && kinds.length === 4, {
    message: "must name cls, patches, objects and background once each",
  });

/** MaskInversion's settings (Bousselham et al. 2024), with the reference's defaults. */
const maskInversionSchema = z.strictObject({
  /** Side of the square that the picture is resized to for it, in pixels; null: the vision tower's own size. */
  image_size: count.nullable().default(null),
  iterations: count.default(10),
  learning_rate: z.number().positive().default(0.1),
  /** Weight of the loss that keeps a token near the image embedding. */
  alpha: z.number().nonnegative().default(0),
  weight_decay: z.number().nonnegative().default(0),
  /** First block whose attention is explained, counted from the end; maps of it and all behind it are added. */
  layer: z.int().negative().default(-1),
  /** Longest side, in cells, that masks are reduced to for it: a photograph has megapixels, a patch a few cells. */
  mask_size: count.default(448),
});

/** How boxes and masks become objects. */
const objectsSchema = z.strictObject({
  /** Least detection score (sigmoid; the largest class of a query). */
  score_threshold: share.default(0.3),
  /** Boxes that overlap a better one by more (intersection over union) are dropped. */
  box_nms: share.default(0.7),
  /** Masks that overlap a better one by more are dropped. */
  mask_nms: share.default(0.9),
  /** Masks that cover less of the picture are dropped. */
  min_area: share.default(0.0005),
  /**
   * Side of the grid of point prompts that proposes objects where there is a segmenter but no detector and no boxes. Each
   * of the side^2 prompts has a mask at the picture's size: SAM's own generator of masks takes 32.
   */
  point_grid: count.max(64).default(8),
});

/** `mask_llava.json`, field by field. Unknown fields are errors: a misspelt one must not become a default. */
export const maskLlavaSchema = z.strictObject({
  /** Sub-folder with CLIP (vision tower; with `object_space: projected`, its projection too), or with a LLaVA checkpoint. */
  vision: subFolder.default("vision"),
  /**
   * Sub-folder with Deformable DETR; null: boxes or masks come from the user, or from a grid of points. Where the field is
   * absent: `detector`, if there is such a folder.
   */
  detector: subFolder.nullable().optional(),
  /** Sub-folder with SAM; null: boxes themselves serve as masks. Where the field is absent: `segmenter`, if there is one. */
  segmenter: subFolder.nullable().optional(),
  /** Sub-folder with the LLaMA decoder, its tokenizer and chat template, or with a LLaVA checkpoint. */
  language: subFolder.default("language"),
  /** Sub-folder whose model.safetensors holds the projector. */
  projector_weights: subFolder.default("projector"),
  /**
   * What an object token is: optimised by MaskInversion; the mean of the patch features under its mask; or the mean of what
   * RoI-align samples of them in its box (the background has no box of its own: its mask is pooled).
   */
  object_tokens: z.enum(["mask_inversion", "mask_pool", "roi_align"]).default("mask_inversion"),
  /** `projected`: CLIP's joint space; `hidden`: the vision tower's width, the projection left out. */
  object_space: z.enum(["projected", "hidden"]).default("projected"),
  /** `per_kind`: an input layer each for cls, patches and objects; `shared`: one for all, which needs equal widths. */
  projector: z.enum(["per_kind", "shared"]).default("per_kind"),
  projector_hidden_act: z.enum(["gelu", "gelu_pytorch_tanh", "relu", "silu", "quick_gelu"]).default("gelu"),
  /** Norms of [CLS] and object tokens: set to the mean norm of the picture's patch tokens, learned factors, or left. */
  norm_scaling: z.enum(["patch_mean", "learned", "none"]).default("patch_mean"),
  /** Hidden state of the vision tower that patches and [CLS] come from, as in LLaVA. */
  vision_feature_layer: z.int().default(-2),
  /** Pooled grid of patch tokens [rows, columns]. */
  patch_grid: z.tuple([count, count]).default([8, 8]),
  /** Most object tokens, without the background. */
  max_objects: z.int().nonnegative().default(32),
  /** Whether there is a token of what no object covers. */
  background: z.boolean().default(true),
  order: orderSchema.default(["cls", "patches", "objects", "background"]),
  objects: objectsSchema.prefault({}),
  mask_inversion: maskInversionSchema.prefault({}),
});
export type MaskLlavaSettings = z.output<typeof maskLlavaSchema>;

export const settingsFile = "mask_llava.json";

/** Parses `mask_llava.json`. @throws ConfigError that names the field, what was found and what was expected */
export function parseSettings(json: unknown): MaskLlavaSettings {
  return parseConfig(maskLlavaSchema, json, settingsFile);
}
