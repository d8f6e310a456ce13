import { z } from "zod";
import { describe } from "../checkpoint/errors.ts";
import { ConfigError, type Folder, parseConfig, requireJson } from "../checkpoint/index.ts";

/** The networks that are implemented, by config.json's `model_type`. */
export const modelKinds = ["clip", "deformable_detr", "sam", "llama", "llava"] as const;
export type ModelKind = (typeof modelKinds)[number];

const headSchema = z.looseObject({
  model_type: z.string().min(1),
  architectures: z.array(z.string()).nullish(),
});

/** What a checkpoint folder says it is. */
export interface ModelIdentity {
  readonly modelType: string;
  /** `architectures` of config.json, e.g. `LlavaForConditionalGeneration`. */
  readonly architectures: readonly string[];
  /** Undefined where the network is not implemented. */
  readonly kind: ModelKind | undefined;
  /** config.json as it is. */
  readonly config: unknown;
}

/** Reads config.json's head. Throws a ConfigError where there is none or it has no `model_type`. */
export async function identifyModel(folder: Folder): Promise<ModelIdentity> {
  const config = await requireJson(folder, "config.json");
  const { model_type: modelType, architectures } = parseConfig(headSchema, config, "config.json");
  const kind = modelKinds.find((known) => known === modelType);
  return { modelType, architectures: architectures ?? [], kind, config };
}

/** Throws a ConfigError unless the folder holds one of `wanted`; `advice` says what to do with what it holds. */
export async function requireModelKind<K extends ModelKind>(
  folder: Folder,
  wanted: readonly K[],
  advice: (found: ModelIdentity) => string = () => "",
): Promise<K> {
  const found = await identifyModel(folder);
  const kind = wanted.find((known) => known === found.kind);
  if (kind) return kind;
  const hint = advice(found);
  throw new ConfigError(
    "config.json",
    "model_type",
    `${folder.name} holds another kind of model${hint ? `; ${hint}` : ""}`,
    { found: describe(found.modelType), expected: wanted.map((known) => describe(known)).join(" or ") },
  );
}
