import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { CheckpointError } from "../checkpoint/errors.ts";
import { type FilePlace, GgufFolder } from "../gguf/index.ts";
import { FileFolder } from "./file-source.ts";

/** Stands for the mmproj file that lies beside a GGUF model. */
export const besideModel = Symbol("beside");

/**
 * A checkpoint on disk: a folder in Hugging Face's layout, a GGUF file, or a folder with one GGUF model in it.
 * @param mmproj the GGUF model's vision tower and projector: a file, or `besideModel` for the one in the model's folder
 */
export async function openCheckpoint(
  model: string,
  mmproj?: string | typeof besideModel,
): Promise<FileFolder | GgufFolder> {
  const place = await findGguf(model);
  if (!place) return FileFolder.open(model);
  const vision = typeof mmproj === "string" ? await placeOf(mmproj) : mmproj && (await findMmproj(place));
  return GgufFolder.open(place, { mmproj: vision });
}

/** Where the GGUF model is that `model` names; undefined for folders in Hugging Face's layout and for other files. */
export async function findGguf(model: string): Promise<FilePlace | undefined> {
  const info = await stat(model).catch(() => undefined);
  if (!info?.isDirectory()) return isGguf(model) ? placeOf(model) : undefined;
  const files = (await readdir(model)).sort();
  if (files.includes("config.json")) return undefined;
  const models = files.filter((file) => isGguf(file) && !isMmproj(file) && !isLaterPart(file));
  if (models.length === 0) return undefined;
  if (models.length === 1) return placeOf(path.join(model, models[0] as string));
  throw new CheckpointError("holds several GGUF models: name one of the files", {
    file: model,
    found: models.join(", "),
  });
}

/** The mmproj file in the folder of a model; undefined where there is none. */
async function findMmproj({ folder, file }: FilePlace): Promise<FilePlace | undefined> {
  const files = (await readdir(folder.name)).sort();
  const found = files.filter((other) => isGguf(other) && isMmproj(other) && other !== file);
  if (found.length <= 1) return found[0] === undefined ? undefined : { folder, file: found[0] };
  throw new CheckpointError("several mmproj files lie beside the model: name one with --mmproj", {
    file: folder.name,
    found: found.join(", "),
  });
}

async function placeOf(file: string): Promise<FilePlace> {
  return { folder: await FileFolder.open(path.dirname(file)), file: path.basename(file) };
}

const isGguf = (file: string) => /\.gguf$/i.test(file);
const isMmproj = (file: string) => /mmproj/i.test(path.basename(file));
/** All parts of a split model but the first. */
const isLaterPart = (file: string) => /-(?!00001)\d{5}-of-\d{5}\.gguf$/i.test(file);
