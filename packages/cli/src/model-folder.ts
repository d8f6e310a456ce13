import { settingsFile } from "@mask-llava/composer";
import {
  ConfigError,
  type Folder,
  identifyModel,
  type ModelIdentity,
  type ModelKind,
  requireModelKind,
} from "@mask-llava/models";
import { FileFolder } from "@mask-llava/models/node";
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

/** Opens the folder of `--model`, which must hold one of `wanted`; without it, the network that comes with the program. */
export async function openModelFolder<K extends ModelKind>(
  model: string | undefined,
  wanted: readonly K[],
): Promise<OpenedModel<K>> {
  const embedded = model === undefined ? await embeddedPart(wanted) : undefined;
  if (embedded) return embedded;
  if (model === undefined) throw new UsageError("--model DIR is missing: the checkpoint folder to load");
  const folder = await FileFolder.open(model);
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
  return model === undefined ? await openEmbedded() : await FileFolder.open(model);
}

/** Whether the folder holds a Mask-LLaVA checkpoint. */
export async function holdsMaskLlava(folder: Folder): Promise<boolean> {
  const source = await folder.open(settingsFile);
  await source?.close?.();
  return source !== undefined;
}
