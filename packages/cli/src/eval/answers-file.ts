import { createReadStream } from "node:fs";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { UsageError } from "../errors.ts";
import type { AnswerLine, RunMark } from "./answer-line.ts";

/** What each line of a run has to be, in order. */
export interface ExpectedLine {
  readonly question_id: string;
  readonly mark: RunMark;
}

/**
 * The file of `--answers`. All lines of a picture are appended at once, so that an interruption costs at most the picture
 * that is being worked on.
 */
export class AnswersFile {
  readonly #file: string;
  readonly #handle: FileHandle;
  #empty: boolean;

  private constructor(file: string, handle: FileHandle, empty: boolean) {
    this.#file = file;
    this.#handle = handle;
    this.#empty = empty;
  }

  /** Makes a file. @throws UsageError where there is one */
  static async create(file: string): Promise<AnswersFile> {
    const handle = await open(file, "wx").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") {
        throw new UsageError(`--answers ${file}: is there already; --resume goes on from it`);
      }
      throw new Error(`--answers ${file}: cannot be written: ${error.message}`, { cause: error });
    });
    return new AnswersFile(file, handle, true);
  }

  /**
   * Goes on from a file, which is made where it is not there: its whole pictures stay, a picture that is not whole goes.
   * @param pictures what every picture's lines have to be
   * @throws UsageError naming the line that is not of this run
   */
  static async resume(
    file: string,
    pictures: readonly (readonly ExpectedLine[])[],
  ): Promise<{ answers: AnswersFile; lines: AnswerLine[] }> {
    if (!(await stat(file).catch(() => undefined)))
      return { answers: await AnswersFile.create(file), lines: [] };
    const { lines, bytes } = await wholePictures(file, pictures);
    const handle = await open(file, "r+");
    await handle.truncate(bytes);
    await handle.close();
    return { answers: new AnswersFile(file, await open(file, "a"), bytes === 0), lines };
  }

  async append(lines: readonly AnswerLine[]): Promise<void> {
    this.#empty = false;
    await this.#handle.appendFile(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  }

  /** A file without any answer is not left behind. */
  async close(): Promise<void> {
    await this.#handle.close();
    if (this.#empty) await rm(this.#file, { force: true });
  }
}

async function wholePictures(file: string, pictures: readonly (readonly ExpectedLine[])[]) {
  const expected = pictures.flat();
  const ends = new Set<number>();
  let end = 0;
  for (const picture of pictures) {
    end += picture.length;
    ends.add(end);
  }
  const lines: AnswerLine[] = [];
  let [whole, read, bytes, number] = [0, 0, 0, 0];
  const { size } = await stat(file);
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    number++;
    read += Buffer.byteLength(text) + 1;
    if (read > size) break; // no line break at its end: the last write did not get through
    const line = parse(text, `${file}:${number}`);
    const want = expected[lines.length];
    if (!want) {
      throw new UsageError(
        `--resume: ${file}:${number}: a line more than the ${expected.length} of this run; --limit, or other configurations?`,
      );
    }
    check(line, want, `${file}:${number}`);
    lines.push(line);
    if (ends.has(lines.length)) [whole, bytes] = [lines.length, read];
  }
  return { lines: lines.slice(0, whole), bytes };
}

function parse(text: string, where: string): AnswerLine {
  try {
    return JSON.parse(text) as AnswerLine;
  } catch {
    throw new UsageError(`--resume: ${where}: is no JSON; the file was not written by this command`);
  }
}

/** What a field that differs means, for people. */
const meanings: Readonly<Record<keyof RunMark, string>> = {
  dataset: "another data set, or its content has changed",
  checkpoint: "another checkpoint, or its content has changed",
  configuration: "other configurations, or another order of them",
  tokens: "other budgets",
  drop_policy: "other drop policies",
  settings: "other settings",
};

function check(line: AnswerLine, { question_id, mark }: ExpectedLine, where: string): void {
  if (typeof line !== "object" || line === null) throw new UsageError(`--resume: ${where}: is no answer`);
  const found = line.metadata ?? {};
  for (const [field, meaning] of Object.entries(meanings)) {
    const [have, want] = [found[field as keyof RunMark], mark[field as keyof RunMark]];
    if (have === want) continue;
    throw new UsageError(
      `--resume: ${where}: metadata.${field}: found ${JSON.stringify(have)}, expected ${JSON.stringify(want)}: ${meaning}`,
    );
  }
  if (line.question_id === question_id) return;
  throw new UsageError(
    `--resume: ${where}: question_id: found ${JSON.stringify(line.question_id)}, expected ${JSON.stringify(question_id)}`,
  );
}
