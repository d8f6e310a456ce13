import { type Folder, readJson, requireJson } from "@mask-llava/models";
import { type MaskLlavaSettings, parseSettings, settingsFile } from "./settings.ts";
import { SubFolder } from "./sub-folder.ts";

/** A Mask-LLaVA checkpoint's settings, and the folder of each of its networks. */
export interface CheckpointParts {
  readonly settings: MaskLlavaSettings;
  readonly vision: Folder;
  readonly detector: Folder | undefined;
  readonly segmenter: Folder | undefined;
  readonly language: Folder;
  /** Its own folder or, where that is absent, the language folder, if that is a LLaVA checkpoint. */
  readonly projector: Folder;
}

/** Reads `mask_llava.json` and finds the sub-folders. That a named one holds a network is found when it is loaded. */
export async function findParts(folder: Folder): Promise<CheckpointParts> {
  const settings = parseSettings(await requireJson(folder, settingsFile));
  const sub = (name: string) => new SubFolder(folder, name);
  const optional = async (named: string | null | undefined, usual: string) => {
    if (named !== undefined) return named === null ? undefined : sub(named);
    return (await holds(sub(usual), "config.json")) ? sub(usual) : undefined;
  };
  return {
    settings,
    vision: sub(settings.vision),
    detector: await optional(settings.detector, "detector"),
    segmenter: await optional(settings.segmenter, "segmenter"),
    language: sub(settings.language),
    projector: await findProjector(sub(settings.projector_weights), sub(settings.language)),
  };
}

async function findProjector(own: Folder, language: Folder): Promise<Folder> {
  if ((await holds(own, "model.safetensors")) || (await holds(own, "model.safetensors.index.json")))
    return own;
  const config = (await readJson(language, "config.json")) as { model_type?: unknown } | undefined;
  return config?.model_type === "llava" ? language : own;
}

async function holds(folder: Folder, name: string): Promise<boolean> {
  const source = await folder.open(name);
  await source?.close?.();
  return source !== undefined;
}
