import { type Folder, type ModelIdentity, type ModelKind, requireModelKind } from "@mask-llava/models";
import { FileFolder } from "@mask-llava/models/node";
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

/** Opens the folder of `--model`, which must hold one of `wanted`. */
export async function openModelFolder<K extends ModelKind>(
  model: string | undefined,
  wanted: readonly K[],
): Promise<OpenedModel<K>> {
  if (model === undefined) throw new UsageError("--model DIR is missing: the checkpoint folder to load");
  const folder = await FileFolder.open(model);
  return { folder, kind: await requireModelKind(folder, wanted, advise) };
}
