import { z } from "zod";
import { activationSchema, layerCount } from "../nn/index.ts";
import { backboneFields, type Issue, resNetStructure } from "./backbone-config.ts";

const count = z.int32().positive();

/** Groups of the norm behind every input projection: fixed by the architecture. */
export const normGroups = 32;

/** Most classes where they have no names in the file: each is given one. */
const mostLabels = 2 ** 20;

/** Hugging Face's `DeformableDetrConfig`, with its defaults and with the backbone resolved. */
export const deformableDetrConfigSchema = z
  .object({
    model_type: z.literal("deformable_detr"),
    ...backboneFields,
    d_model: count.default(256),
    encoder_layers: layerCount.default(6),
    encoder_ffn_dim: count.default(1024),
    encoder_attention_heads: count.default(8),
    encoder_n_points: count.default(4),
    decoder_layers: layerCount.default(6),
    decoder_ffn_dim: count.default(1024),
    decoder_attention_heads: count.default(8),
    decoder_n_points: count.default(4),
    activation_function: activationSchema.default("relu"),
    position_embedding_type: z.literal("sine").default("sine"),
    num_feature_levels: layerCount.default(4),
    num_queries: count.default(300),
    with_box_refine: z.boolean().default(false),
    two_stage: z.boolean().default(false),
    two_stage_num_proposals: count.default(300),
    tie_word_embeddings: z.boolean().default(true),
    num_labels: count.max(mostLabels).nullish(),
    id2label: z.record(z.string(), z.string()).nullish(),
  })
  .transform((c, context) => {
    const issue: Issue = (path, message) => context.addIssue({ code: "custom", path, message });
    if (c.d_model % normGroups) issue(["d_model"], `is not a multiple of ${normGroups}`);
    for (const heads of ["encoder_attention_heads", "decoder_attention_heads"] as const) {
      if (c.d_model % c[heads]) issue([heads], "does not divide d_model");
    }
    if (c.two_stage && !c.with_box_refine) issue(["two_stage"], "needs with_box_refine");
    const { backbone_config: _, backbone: __, use_timm_backbone: ___, dilation: ____, ...rest } = c;
    const backbone = resNetStructure(c, c.num_feature_levels, issue);
    const maps = backbone.outIndices.length;
    if (maps > c.num_feature_levels || (c.num_feature_levels === 1 && maps !== 1))
      issue(["num_feature_levels"], `is less than the ${maps} feature maps of the backbone`);
    return { ...rest, backbone, labels: labelNames(c.id2label, c.num_labels, issue) };
  });
export type DeformableDetrConfig = z.output<typeof deformableDetrConfigSchema>;

/** The name of each class; two unnamed ones where the file says nothing, as in transformers. */
function labelNames(
  named: Record<string, string> | null | undefined,
  given: number | null | undefined,
  issue: Issue,
): string[] {
  if (!named) return Array.from({ length: given ?? 2 }, (_, i) => `LABEL_${i}`);
  const size = Object.keys(named).length;
  const names = Array.from({ length: size }, (_, i) => named[i]);
  if (size === 0 || names.includes(undefined))
    issue(["id2label"], `takes the classes 0 to ${Math.max(size - 1, 0)}`);
  if (given && given !== size) issue(["num_labels"], `is not the number of id2label, ${size}`);
  return names.map((name) => name ?? "");
}
