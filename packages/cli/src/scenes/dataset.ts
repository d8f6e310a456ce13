import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeJpeg, writeFolder } from "@mask-llava/models/node";
import { checkOutFolder } from "../out-folder.ts";
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

/**
 * Writes `dataset.json`, `annotations.jsonl` and `images/`, under a temporary name until all is there (`writeFolder`). One
 * thread: a scene takes a few milliseconds.
 */
export async function writeDataset(
  folder: string,
  options: DatasetOptions,
  { signal, onProgress }: WriteOptions,
): Promise<DatasetTotals> {
  await checkOutFolder(folder);
  return writeFolder(folder, (at) => fill(at, options, { signal, onProgress }));
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

function describe({ seed, split, count, imageSize, rounds = 1 }: DatasetOptions): DatasetDescription {
  return {
    format: "mask-llava-scenes",
    version: formatVersion,
    generator_version: generatorVersion,
    seed,
    split,
    count,
    image_size: imageSize,
    question_rounds: rounds,
    question_kinds: questionKinds,
    vocabulary: { shapes, colours, sizes, answer_words: answerWords },
  };
}
