import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "@mask-llava/models";
import type { EvalSet } from "./dataset.ts";
import { fingerprint } from "./fingerprint.ts";
import { readQuestions } from "./read-questions.ts";
import { readScenes, sceneFiles } from "./read-scenes.ts";

/**
 * Opens a folder that `mask-llava scenes` wrote, or a JSONL file of questions. Every picture must be there.
 * @throws ConfigError naming file, line and field
 */
export async function openDataset(path: string, imageFolder?: string): Promise<EvalSet> {
  const info = await stat(path).catch(() => undefined);
  if (!info) throw new ConfigError(path, "", "there is no such file or folder");
  const kind = info.isDirectory() ? "scenes" : "questions";
  if (kind === "scenes" && !(await stat(join(path, sceneFiles.description)).catch(() => undefined))) {
    const expected = "a folder that `mask-llava scenes` wrote, or a JSONL file of questions";
    throw new ConfigError(path, "", "is no data set", { found: `no ${sceneFiles.description}`, expected });
  }
  const { pictures, text } = await (kind === "scenes" ? readScenes(path) : readQuestions(path, imageFolder));
  const sizes = await Promise.all(
    pictures.map(async ({ where, picture: { file } }) => {
      const image = await stat(file).catch(() => undefined);
      if (!image?.isFile()) throw new ConfigError(where, "image", `there is no file ${file}`);
      return image.size;
    }),
  );
  return {
    path,
    kind,
    pictures: pictures.map(({ picture }) => picture),
    fingerprint: fingerprint(text, JSON.stringify(sizes)),
  };
}

/** `openDataset` of a folder of scenes. */
export async function openScenes(folder: string): Promise<EvalSet> {
  const opened = await openDataset(folder);
  if (opened.kind === "scenes") return opened;
  const expected = "a folder that `mask-llava scenes` wrote";
  throw new ConfigError(folder, "", "holds no scenes", { found: "a file of questions", expected });
}

/** All files that a data set is read from. */
export function filesOf({ path, kind, pictures }: EvalSet): string[] {
  const own = kind === "scenes" ? Object.values(sceneFiles).map((file) => join(path, file)) : [path];
  return [...own, ...pictures.map(({ file }) => file)];
}
