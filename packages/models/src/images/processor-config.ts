import { z } from "zod";
import { ProcessorConfigError } from "./errors.ts";
import type { Normalization } from "./normalize.ts";
import type { Size } from "./pixels.ts";
import type { Resample } from "./resample-filters.ts";
import type { SizeRule } from "./target-size.ts";

/** Whose steps a processor takes. They differ in size rules, in when they pad and in defaults. */
export type ProcessorFamily = "clip" | "llava" | "deformable_detr" | "sam";

/** What a processor does, step by step: the config with every default and shorthand resolved. */
export interface ProcessorSettings {
  readonly family: ProcessorFamily;
  /** First: pad to a square with this colour (uint8 RGB). */
  readonly squareColour?: readonly number[];
  readonly size?: SizeRule;
  readonly resample: Resample;
  /** After the resize: cut the centre out, or pad around it with 0. */
  readonly crop?: Size;
  readonly normalization: Normalization;
  /** Last: pad right and below with 0. */
  readonly padTo?: Size;
}

export const OPENAI_CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073] as const;
export const OPENAI_CLIP_STD = [0.26862954, 0.26130258, 0.27577711] as const;
export const IMAGENET_MEAN = [0.485, 0.456, 0.406] as const;
export const IMAGENET_STD = [0.229, 0.224, 0.225] as const;

const edge = z.int().min(1).max(65_536);
const pair = z.tuple([edge, edge]); // [height, width]
const box = z.strictObject({ height: edge, width: edge });
const rgb = z.union([z.number(), z.tuple([z.number(), z.number(), z.number()])]);

const sizeSchema = z.union([
  edge,
  pair,
  box,
  z.strictObject({ shortest_edge: edge, longest_edge: edge.nullish() }),
  z.strictObject({ longest_edge: edge }),
  z.strictObject({ max_height: edge, max_width: edge }),
]);

const configSchema = z.looseObject({
  image_processor_type: z.string().nullish(),
  feature_extractor_type: z.string().nullish(),
  do_resize: z.boolean().nullish(),
  size: sizeSchema.nullish(),
  max_size: edge.nullish(),
  resample: z.int().min(0).max(5).nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: z.union([edge, pair, box]).nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().positive().nullish(),
  do_normalize: z.boolean().nullish(),
  image_mean: rgb.nullish(),
  image_std: rgb.nullish(),
  do_pad: z.boolean().nullish(),
  pad_and_return_pixel_mask: z.boolean().nullish(),
  pad_size: z.union([edge, pair, box]).nullish(),
  do_convert_rgb: z.boolean().nullish(),
});
type Config = z.infer<typeof configSchema>;

interface Defaults {
  readonly size: Config["size"];
  readonly crop?: number;
  readonly resample: Resample;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly pad: boolean;
  readonly padSize?: number;
}

const CLIP_DEFAULTS: Defaults = {
  size: { shortest_edge: 224 },
  crop: 224,
  resample: 3,
  mean: OPENAI_CLIP_MEAN,
  std: OPENAI_CLIP_STD,
  pad: false,
};

const DEFAULTS: Record<ProcessorFamily, Defaults> = {
  clip: CLIP_DEFAULTS,
  llava: CLIP_DEFAULTS,
  deformable_detr: {
    size: { shortest_edge: 800, longest_edge: 1333 },
    resample: 2,
    mean: IMAGENET_MEAN,
    std: IMAGENET_STD,
    pad: true,
  },
  sam: {
    size: { longest_edge: 1024 },
    resample: 2,
    mean: IMAGENET_MEAN,
    std: IMAGENET_STD,
    pad: true,
    padSize: 1024,
  },
};

const FAMILIES: Record<string, ProcessorFamily> = {
  CLIP: "clip",
  Llava: "llava",
  DeformableDetr: "deformable_detr",
  Detr: "deformable_detr",
  Sam: "sam",
};

/**
 * Reads `preprocessor_config.json`, or a `processor_config.json` that holds it as `image_processor`.
 * Absent fields take the defaults of the family's class in transformers.
 * @param json the parsed file
 * @param file its name, for messages
 * @param family when the file does not name a class of a known family (`image_processor_type`)
 * @throws ProcessorConfigError
 */
export function parseProcessorConfig(
  json: unknown,
  file: string,
  family?: ProcessorFamily,
): ProcessorSettings {
  const inner =
    typeof json === "object" && json !== null && "image_processor" in json ? json.image_processor : json;
  const prefix = inner === json ? "" : "image_processor.";
  const parsed = configSchema.safeParse(inner);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const field = prefix + issue.path.join(".");
    let found: unknown = inner;
    for (const key of issue.path) found = (found as Record<PropertyKey, unknown> | null | undefined)?.[key];
    throw new ProcessorConfigError(file, field, `${issue.message}; found ${JSON.stringify(found)}`, {
      cause: parsed.error,
    });
  }
  const config = parsed.data;
  const fail = (field: string, problem: string): never => {
    throw new ProcessorConfigError(file, prefix + field, problem);
  };
  const resolved = family ?? familyOf(config, fail);
  const defaults = DEFAULTS[resolved];
  const mean = channels(config.image_mean) ?? defaults.mean;
  const std = channels(config.image_std) ?? defaults.std;
  if (std.includes(0)) fail("image_std", "expected no zero: pixels are divided by it");
  const size = sizeRule(config, resolved, defaults, fail);
  const crops = config.do_center_crop ?? defaults.crop !== undefined;
  const cropSize = box_(config.crop_size ?? defaults.crop);
  if (crops && !cropSize) fail("crop_size", "expected a size, as do_center_crop is true");
  const pads = config.do_pad ?? config.pad_and_return_pixel_mask ?? defaults.pad;
  const padTo = box_(config.pad_size ?? defaults.padSize);
  return {
    family: resolved,
    // int(x * 255) of the mean, as LLaVA and LlavaImageProcessor fill it.
    ...(resolved === "llava" && pads && { squareColour: squareColour(mean) }),
    ...((config.do_resize ?? true) && { size }),
    resample: (config.resample ?? defaults.resample) as Resample,
    ...(crops && (resolved === "clip" || resolved === "llava" || resolved === "sam") && { crop: cropSize }),
    normalization: {
      ...((config.do_rescale ?? true) && { rescaleFactor: config.rescale_factor ?? 1 / 255 }),
      ...((config.do_normalize ?? true) && { mean, std }),
    },
    ...(pads && padTo && resolved !== "llava" && { padTo }),
  };
}

/** The colour that LLaVA pads with: the mean, truncated to uint8. */
export function squareColour(mean: readonly number[]): number[] {
  return mean.map((m) => Math.trunc(m * 255));
}

type Fail = (field: string, problem: string) => never;

function familyOf(config: Config, fail: Fail): ProcessorFamily {
  const type = config.image_processor_type ?? config.feature_extractor_type;
  const known = `one of ${Object.keys(FAMILIES).map((name) => `${name}ImageProcessor`)}`;
  if (!type) return fail("image_processor_type", `expected ${known.replaceAll(",", ", ")}; found nothing`);
  const stem = type.replace(/(ImageProcessor|FeatureExtractor)(Fast|Pil)?$/, "");
  const family = FAMILIES[stem];
  return family ?? fail("image_processor_type", `expected ${known.replaceAll(",", ", ")}; found "${type}"`);
}

function channels(value: Config["image_mean"]): readonly number[] | undefined {
  if (value === null || value === undefined) return undefined;
  return typeof value === "number" ? [value, value, value] : value;
}

function box_(value: Config["crop_size"]): Size | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "number") return { height: value, width: value };
  return Array.isArray(value) ? { height: value[0], width: value[1] } : value;
}

function sizeRule(config: Config, family: ProcessorFamily, defaults: Defaults, fail: Fail): SizeRule {
  const size = config.size ?? defaults.size!;
  if (typeof size === "number") {
    if (family === "deformable_detr") {
      return { kind: "shortest-longest", shortest: size, longest: config.max_size ?? 1333 };
    }
    if (family === "sam") return { kind: "longest", longest: size };
    return { kind: "shortest", shortest: size };
  }
  if (family === "sam" && !("longest_edge" in size && !("shortest_edge" in size))) {
    return fail("size", `SAM needs {"longest_edge": N}; found ${JSON.stringify(size)}`);
  }
  if (Array.isArray(size)) return { kind: "exact", height: size[0], width: size[1] };
  if ("height" in size) return { kind: "exact", height: size.height, width: size.width };
  if ("max_height" in size) return { kind: "fit", height: size.max_height, width: size.max_width };
  if ("shortest_edge" in size) {
    const longest = size.longest_edge ?? (family === "deformable_detr" ? config.max_size : undefined);
    if (longest) return { kind: "shortest-longest", shortest: size.shortest_edge, longest };
    if (family === "deformable_detr") {
      return fail("size", `expected "longest_edge" beside "shortest_edge"; found ${JSON.stringify(size)}`);
    }
    return { kind: "shortest", shortest: size.shortest_edge };
  }
  if (family === "sam") return { kind: "longest", longest: size.longest_edge };
  return fail(
    "size",
    `"longest_edge" alone is SAM's rule; a ${family} processor needs "shortest_edge", or "height" and "width"; found ${JSON.stringify(size)}`,
  );
}
