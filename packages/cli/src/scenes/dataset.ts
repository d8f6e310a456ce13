import { randomBytes } from "node:crypto";
import {
  access,
  constants,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  writeFile,
} from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { encodeJpeg } from "@mask-llava/models/node";
import { type DatasetDescription, formatVersion, generatorVersion, questionKinds } from "./format.ts";
import { drawScene, type SceneOptions } from "./scene.ts";
import { answerWords } from "./words.ts";
import { colours, shapes, sizes } from "./world.ts";

export interface DatasetOptions extends SceneOptions {
  readonly count: number;
}

/** What a data set holds. */
export interface DatasetTotals {
  readonly scenes: number;
  readonly objects: number;
  /** By kind. */
  readonly questions: Readonly<Record<string, number>>;
  /** Of all files. */
  readonly bytes: number;
}

export interface WriteOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

/** Throws where a data set cannot be written to `folder`, or would replace something, before any work is done for it. */
export async function checkDatasetFolder(folder: string): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (info && !info.isDirectory()) throw new Error(`--out ${folder}: is a file, expected a folder`);
  const found = info ? (await readdir(folder)).length : 0;
  if (found > 0) {
    throw new Error(
      `--out ${folder}: holds ${found} ${found === 1 ? "entry" : "entries"}, expected an empty folder or none`,
    );
  }
  const parent = dirname(resolve(folder));
  const parentInfo = await stat(parent).catch(() => undefined);
  if (!parentInfo?.isDirectory()) throw new Error(`--out ${folder}: there is no folder ${parent}`);
  const writable = await access(parent, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable) throw new Error(`--out ${folder}: the folder ${parent} may not be written to`);
}

/**
 * Writes `dataset.json`, `annotations.jsonl` and `images/`, into a temporary folder beside `folder` that is renamed when all
 * is there. One thread: a scene takes a few milliseconds.
 */
export async function writeDataset(
  folder: string,
  options: DatasetOptions,
  { signal, onProgress }: WriteOptions,
): Promise<DatasetTotals> {
  await checkDatasetFolder(folder);
  const temporary = `${resolve(folder)}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const totals = await fill(temporary, options, { signal, onProgress });
    // a folder takes the place of an empty one on POSIX alone
    await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
    await rename(temporary, folder);
    return totals;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

async function fill(folder: string, options: DatasetOptions, { signal, onProgress }: WriteOptions) {
  await mkdir(join(folder, "images"), { recursive: true });
  const questions: Record<string, number> = Object.fromEntries(questionKinds.map((kind) => [kind, 0]));
  let [objects, bytes] = [0, 0];
  const annotations = await open(join(folder, "annotations.jsonl"), "w");
  try {
    for (let index = 0; index < options.count; index++) {
      signal.throwIfAborted();
      const { annotation, picture, quality } = drawScene(options, index);
      const jpeg = await encodeJpeg(picture, { quality });
      const line = `${JSON.stringify(annotation)}\n`;
      await writeFile(join(folder, annotation.image), jpeg);
      await annotations.write(line);
      objects += annotation.objects.length;
      bytes += jpeg.length + line.length;
      for (const { kind } of annotation.questions) questions[kind] = (questions[kind] ?? 0) + 1;
      onProgress(index + 1, options.count);
    }
  } finally {
    await annotations.close();
  }
  const description = `${JSON.stringify(describe(options), null, 2)}\n`;
  await writeFile(join(folder, "dataset.json"), description);
  signal.throwIfAborted();
  return { scenes: options.count, objects, questions, bytes: bytes + description.length };
}

function describe({ seed, split, count, imageSize }: DatasetOptions): DatasetDescription {
  return {
    format: "mask-llava-scenes",
    version: formatVersion,
    generator_version: generatorVersion,
    seed,
    split,
    count,
    image_size: imageSize,
    question_kinds: questionKinds,
    vocabulary: { shapes, colours, sizes, answer_words: answerWords },
  };
}
