import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AnswerLine, RunMark } from "./answer-line.ts";
import { AnswersFile, type ExpectedLine } from "./answers-file.ts";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mask-llava-answers-"));
  file = join(folder, "answers.jsonl");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function mark(configuration: string): RunMark {
  return {
    dataset: "d",
    checkpoint: "c",
    configuration,
    tokens: null,
    drop_policy: null,
    settings: "s",
  };
}

/** Two configurations, three pictures of two questions. */
const pictures = [0, 1, 2].map((picture) =>
  ["all", "few"].flatMap((name) =>
    [0, 1].map((q): ExpectedLine => ({ question_id: `${picture}-${q}`, mark: mark(name) })),
  ),
);

function lineOf({ question_id, mark }: ExpectedLine): AnswerLine {
  const asked = {
    kind: "k",
    right: true,
    answers: ["é"],
    visual_tokens: 1,
    new_tokens: 1,
    finish_reason: "eos",
  };
  const answer_id = `${question_id}/${mark.configuration}`;
  return { question_id, prompt: "p", text: "é", answer_id, model_id: "m", metadata: { ...mark, ...asked } };
}

async function written(count: number): Promise<void> {
  const answers = await AnswersFile.create(file);
  for (const picture of pictures.slice(0, count)) await answers.append(picture.map(lineOf));
  await answers.close();
}

async function resumed() {
  const { answers, lines } = await AnswersFile.resume(file, pictures);
  await answers.close();
  return lines;
}

test("a file is made once, and none is left behind without an answer", async () => {
  await written(1);
  expect(readFileSync(file, "utf8").trim().split("\n").length).toBe(4);
  await expect(AnswersFile.create(file)).rejects.toThrow(/is there already; --resume goes on from it/);
  rmSync(file);
  await (await AnswersFile.create(file)).close();
  expect(existsSync(file)).toBe(false);
  expect(await resumed()).toEqual([]);
  expect(existsSync(file)).toBe(false);
});

test("whole pictures stay; what follows them goes, torn or not", async () => {
  await written(2);
  const two = readFileSync(file);
  await written2More(5, "");
  expect(await resumed()).toEqual(pictures.slice(0, 2).flat().map(lineOf));
  expect(readFileSync(file)).toEqual(two);
  const third = JSON.stringify(lineOf(pictures[2]?.[0] as ExpectedLine));
  for (const torn of [third.slice(0, 20), third, `${third}\n{"a`, "\u00e9".slice(0, 1)]) {
    writeFileSync(file, Buffer.concat([two, Buffer.from(torn)]));
    expect((await resumed()).length).toBe(8);
    expect(readFileSync(file)).toEqual(two);
  }
});

async function written2More(count: number, end: string): Promise<void> {
  const all = pictures
    .flat()
    .slice(0, 4 + count)
    .map((line) => `${JSON.stringify(lineOf(line))}\n`);
  writeFileSync(file, all.join("") + end);
}

test("what is appended after resuming comes behind", async () => {
  await written(1);
  const { answers } = await AnswersFile.resume(file, pictures);
  await answers.append((pictures[1] as ExpectedLine[]).map(lineOf));
  await answers.close();
  expect((await resumed()).length).toBe(8);
});

const lines: [string, (line: AnswerLine) => unknown, RegExp][] = [
  [
    "another data set",
    (l) => at(l, { dataset: "x" }),
    /:2: metadata\.dataset: found "x", expected "d": another data/,
  ],
  ["another checkpoint", (l) => at(l, { checkpoint: "x" }), /metadata\.checkpoint: .*another checkpoint/],
  [
    "another configuration",
    (l) => at(l, { configuration: "x" }),
    /metadata\.configuration: .*other configurations/,
  ],
  ["another budget", (l) => at(l, { tokens: 8 }), /metadata\.tokens: found 8, expected null/],
  ["another policy", (l) => at(l, { drop_policy: "area" }), /metadata\.drop_policy: /],
  ["other settings", (l) => at(l, { settings: "x" }), /metadata\.settings: .*other settings/],
  ["another question", (l) => ({ ...l, question_id: "x" }), /question_id: found "x", expected "0-1"/],
  ["no metadata", ({ metadata, ...l }) => l, /metadata\.dataset: found undefined/],
  ["a number", () => 3, /:2: is no answer/],
  ["null", () => null, /:2: is no answer/],
];

function at(line: AnswerLine, fields: object): unknown {
  return { ...line, metadata: { ...line.metadata, ...fields } };
}

test.each(lines)("a file of another run is refused: %s", async (_, change, message) => {
  const all = pictures.flat().map(lineOf);
  const changed = all.map((line, i) => JSON.stringify(i === 1 ? change(line) : line));
  const text = `${changed.join("\n")}\n`;
  writeFileSync(file, text);
  await expect(resumed()).rejects.toThrow(message);
  expect(readFileSync(file, "utf8")).toBe(text);
});

test("a file with more lines than the run has, and one that is no JSON, are refused", async () => {
  const all = pictures.flat().map((line) => JSON.stringify(lineOf(line)));
  writeFileSync(file, `${[...all, all[0]].join("\n")}\n`);
  await expect(resumed()).rejects.toThrow(/:13: a line more than the 12 of this run/);
  writeFileSync(file, "hello\n");
  await expect(resumed()).rejects.toThrow(/:1: is no JSON/);
});
