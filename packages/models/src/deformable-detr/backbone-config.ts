import type { Activation } from "@mask-llava/runtime";
import { z } from "zod";
import { activationSchema, layerCount, mostLayers } from "../nn/index.ts";

/** What a ResNet (He et al. 2015) is made of, whichever library's configuration described it. */
export interface ResNetStructure {
  readonly layerType: "basic" | "bottleneck";
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  /** Channels behind the stem and behind each stage; undefined where the configuration leaves them to the weights. */
  readonly widths: { readonly stem: number; readonly stages: readonly number[] } | undefined;
  readonly activation: Activation;
  readonly downsampleInFirstStage: boolean;
  /** Stride in the first convolution of a bottleneck rather than in its 3x3. */
  readonly downsampleInBottleneck: boolean;
  /** Dilate the last stage instead of striding it (DC5). */
  readonly dilateLastStage: boolean;
  /** Feature maps to use, finest first: 0 is the stem's, i that of stage i. */
  readonly outIndices: readonly number[];
}

const count = z.int32().positive();

/** Hugging Face's `ResNetConfig`, with its defaults (ResNet-50). */
const resNetSchema = z.object({
  model_type: z.literal("resnet"),
  num_channels: z.literal(3).default(3),
  embedding_size: count.default(64),
  hidden_sizes: z.array(count).min(1).default([256, 512, 1024, 2048]),
  depths: z
    .array(layerCount)
    .min(1)
    .refine((depths) => depths.reduce((sum, n) => sum + n, 0) <= mostLayers, {
      message: `adds up to more than ${mostLayers} blocks`,
    })
    .default([3, 4, 6, 3]),
  layer_type: z.enum(["basic", "bottleneck"]).default("bottleneck"),
  hidden_act: activationSchema.default("relu"),
  downsample_in_first_stage: z.boolean().default(false),
  downsample_in_bottleneck: z.boolean().default(false),
  out_features: z.array(z.string()).nullish(),
  out_indices: z.array(z.number().int()).nullish(),
});

/** ResNets of timm with the plain 7x7 stem: the names whose structure the name alone tells. */
const timmResNets = {
  resnet18: { layerType: "basic", depths: [2, 2, 2, 2] },
  resnet26: { layerType: "bottleneck", depths: [2, 2, 2, 2] },
  resnet34: { layerType: "basic", depths: [3, 4, 6, 3] },
  resnet50: { layerType: "bottleneck", depths: [3, 4, 6, 3] },
  resnet101: { layerType: "bottleneck", depths: [3, 4, 23, 3] },
  resnet152: { layerType: "bottleneck", depths: [3, 8, 36, 3] },
} as const;
type TimmName = keyof typeof timmResNets;
const timmNames = Object.keys(timmResNets) as [TimmName, ...TimmName[]];

/** A name may carry a tag of its weights behind a dot: `resnet50.a1_in1k`. */
const timmNameSchema = z
  .string()
  .transform((name) => name.split(".")[0])
  .pipe(z.enum(timmNames));

const timmSchema = z.object({
  model_type: z.literal("timm_backbone"),
  backbone: timmNameSchema,
  num_channels: z.literal(3).default(3),
  out_indices: z.array(z.number().int()).nullish(),
  output_stride: z.union([z.literal(16), z.literal(32)]).nullish(),
});

export const backboneConfigSchema = z.discriminatedUnion("model_type", [resNetSchema, timmSchema]);

/** The fields of a Deformable DETR configuration that say what its backbone is. */
export const backboneFields = {
  backbone_config: backboneConfigSchema.nullish(),
  backbone: timmNameSchema.nullish(),
  use_timm_backbone: z.boolean().nullish(),
  dilation: z.boolean().default(false),
  num_channels: z.literal(3).default(3),
};
type BackboneFields = z.output<z.ZodObject<typeof backboneFields>>;

/** Reports what is wrong with a field. */
export type Issue = (path: (string | number)[], message: string) => void;

/**
 * The backbone that a configuration means. Transformers 5 writes `backbone_config`; older files name a timm network in
 * `backbone`, whose widths are then those of the weights.
 * @param levels number of feature levels: with one, timm's last stage is used, else the last three
 */
export function resNetStructure(c: BackboneFields, levels: number, issue: Issue): ResNetStructure {
  const described = c.backbone_config;
  if (described?.model_type === "resnet") return ofTransformers(described, c.dilation, issue);
  if (!described && c.use_timm_backbone === false) {
    issue(["backbone"], "names a checkpoint elsewhere; backbone_config must describe the network itself");
  }
  const { layerType, depths } = timmResNets[described?.backbone ?? c.backbone ?? "resnet50"];
  return {
    layerType,
    depths,
    widths: undefined,
    activation: "relu",
    downsampleInFirstStage: false,
    downsampleInBottleneck: false,
    dilateLastStage: described ? described.output_stride === 16 : c.dilation,
    outIndices: indices(described?.out_indices ?? (levels > 1 ? [2, 3, 4] : [4]), depths.length, issue),
  };
}

function ofTransformers(r: z.output<typeof resNetSchema>, dilation: boolean, issue: Issue): ResNetStructure {
  const at = (field: string) => ["backbone_config", field];
  if (r.hidden_sizes.length !== r.depths.length)
    issue(at("hidden_sizes"), "has not one entry a stage of depths");
  if (dilation) issue(["dilation"], "is for timm's backbones only, as in the reference");
  if (r.layer_type === "bottleneck" && r.hidden_sizes.some((n) => n < 4))
    issue(at("hidden_sizes"), "leaves a bottleneck no channels: it takes at least 4");
  const names = ["stem", ...r.depths.map((_, i) => `stage${i + 1}`)];
  const features = r.out_features?.map((name) => names.indexOf(name));
  if (features?.includes(-1)) issue(at("out_features"), `takes some of ${names.join(", ")}`);
  return {
    layerType: r.layer_type,
    depths: r.depths,
    widths: { stem: r.embedding_size, stages: r.hidden_sizes },
    activation: r.hidden_act,
    downsampleInFirstStage: r.downsample_in_first_stage,
    downsampleInBottleneck: r.downsample_in_bottleneck,
    dilateLastStage: false,
    outIndices: indices(features ?? r.out_indices ?? [r.depths.length], r.depths.length, issue),
  };
}

/** Checks that `given` rise within 0..stages; negative ones count from the end. */
function indices(given: readonly number[], stages: number, issue: Issue): number[] {
  const positive = given.map((i) => (i < 0 ? i + stages + 1 : i));
  const rising = positive.every(
    (n, i) => n >= 0 && n <= stages && (i === 0 || n > (positive[i - 1] as number)),
  );
  if (!rising || positive.length === 0)
    issue(["backbone_config", "out_indices"], `takes rising indices of the ${stages} stages (0 is the stem)`);
  return positive;
}
