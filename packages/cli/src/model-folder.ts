import { settingsFile } from "@mask-llava/composer";
import {
  ConfigError,
  type Folder,
  identifyModel,
  type ModelIdentity,
  type ModelKind,
  requireModelKind,
} from "@mask-llava/models";
import { besideModel, findGguf, openCheckpoint } from "@mask-llava/models/node";
import { embeddedPart, openEmbedded } from "./embedded.ts";
import { UsageError } from "./errors.ts";

/** The command for each kind of model. */
const commands: Readonly<Record<ModelKind, string>> = {
  clip: "mask-llava encode IMAGE",
  deformable_detr: "mask-llava detect IMAGE",
  sam: "mask-llava segment IMAGE",
  llama: "mask-llava generate PROMPT",
  llava: "mask-llava ask IMAGE QUESTION",
};

/** Which command fits what was found, in words. */
function advise({ kind, modelType }: ModelIdentity): string {
  return kind
    ? `\`${commands[kind]} --model DIR\` is for it`
    : `${modelType} is not supported: \`mask-llava inspect DIR\` says what the folder holds`;
}

export interface OpenedModel<K extends ModelKind> {
  readonly folder: Folder;
  readonly kind: K;
}

/**
 * Opens the folder or GGUF file of `--model`, which must hold one of `wanted`; without it, the network that comes with the
 * program.
 * @param mmproj `--mmproj`, or `besideModel`
 */
export async function openModelFolder<K extends ModelKind>(
  model: string | undefined,
  wanted: readonly K[],
  mmproj?: string | typeof besideModel,
): Promise<OpenedModel<K>> {
  const embedded = model === undefined ? await embeddedPart(wanted) : undefined;
  if (embedded) return embedded;
  if (model === undefined) throw new UsageError("--model DIR is missing: the checkpoint folder to load");
  const folder = await openCheckpoint(model, mmproj);
  if (await holdsMaskLlava(folder)) {
    throw new ConfigError(
      settingsFile,
      "",
      `${folder.name} holds a Mask-LLaVA checkpoint; \`mask-llava ask IMAGE QUESTION --model DIR\` is for it`,
      { found: settingsFile, expected: `config.json of a model of type ${wanted.join(" or ")}` },
    );
  }
  return { folder, kind: await requireModelKind(folder, wanted, advise) };
}

/** The folder of `--model`, or without it the embedded one, where it holds a Mask-LLaVA checkpoint. */
export async function findMaskLlavaFolder(model: string | undefined): Promise<Folder | undefined> {
  if (model !== undefined && (await findGguf(model))) return undefined;
  const folder = await openFolder(model);
  return (await holdsMaskLlava(folder)) ? folder : undefined;
}

/** Opens the folder of `--model`, or without it the embedded one, which must hold a Mask-LLaVA checkpoint. */
export async function requireMaskLlavaFolder(model: string | undefined): Promise<Folder> {
  const folder = await openFolder(model);
  if (await holdsMaskLlava(folder)) return folder;
  const found = await identifyModel(folder).catch(() => undefined);
  throw new ConfigError(
    settingsFile,
    "",
    `${folder.name} holds no Mask-LLaVA checkpoint${found ? `; ${advise(found)}` : ""}`,
    {
      found: found ? `a config.json of model_type "${found.modelType}"` : "no such file",
      expected: settingsFile,
    },
  );
}

/** The folder of `--model`, or without it the embedded checkpoint. */
async function openFolder(model: string | undefined): Promise<Folder> {
  return model === undefined ? await openEmbedded() : await openCheckpoint(model);
}

/** Opens the LLaVA model of `--model`: a folder, or a GGUF file with the mmproj file of `--mmproj` or the one beside it. */
export async function openLlavaFolder(
  model: string | undefined,
  mmproj: string | undefined,
): Promise<Folder> {
  const gguf = model !== undefined && (await findGguf(model));
  const kinds = gguf ? (["llava", "llama"] as const) : (["llava"] as const);
  const { kind, folder } = await openModelFolder<"llava" | "llama">(model, kinds, mmproj ?? besideModel);
  if (kind === "llava") return folder;
  throw new ConfigError(
    folder.name,
    "",
    "is a language model without a vision tower, and no mmproj file lies beside it; `mask-llava generate PROMPT --model FILE` is for it",
    { expected: "--mmproj FILE" },
  );
}

/** Opens a checkpoint of any kind: a folder, or a GGUF file with the mmproj file of `--mmproj`. */
export async function openAnyFolder(model: string, mmproj: string | undefined): Promise<Folder> {
  await checkMmproj(model, mmproj);
  return openCheckpoint(model, mmproj);
}

/** Throws a UsageError where `--mmproj` is given with something else than a GGUF model. */
export async function checkMmproj(model: string | undefined, mmproj: string | undefined): Promise<void> {
  if (mmproj === undefined || (model !== undefined && (await findGguf(model)))) return;
  throw new UsageError(
    `--mmproj ${mmproj} belongs to a GGUF model, found ${model === undefined ? "no --model" : `--model ${model}`}`,
  );
}

/** Whether the folder holds a Mask-LLaVA checkpoint. */
export async function holdsMaskLlava(folder: Folder): Promise<boolean> {
  const source = await folder.open(settingsFile);
  await source?.close?.();
  return source !== undefined;
}
