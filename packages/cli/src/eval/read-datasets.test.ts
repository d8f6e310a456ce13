import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeDataset } from "../scenes/index.ts";
import { openDataset, openScenes } from "./open-dataset.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mask-llava-eval-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const options = { signal: new AbortController().signal, onProgress: () => {} };

async function scenes(count = 3): Promise<string> {
  const out = join(folder, "scenes");
  await writeDataset(out, { seed: 5, count, split: "test", imageSize: 96 }, options);
  return out;
}

describe("a folder of scenes", () => {
  test("is read whole; both existence questions of a pair have the kind of the negative", async () => {
    const out = await scenes();
    const set = await openDataset(out);
    expect(set).toMatchObject({ kind: "scenes", path: out });
    expect(set.pictures.length).toBe(3);
    for (const { questions, objects, file } of set.pictures) {
      expect(file).toMatch(/images[\\/]00000\d\.jpg$/);
      expect(objects?.length).toBeGreaterThan(0);
      const existence = questions.filter(({ kind }) => kind === "existence");
      expect(existence.map(({ answers }) => answers[0]).toSorted()).toEqual(["no", "yes"]);
      expect(new Set(existence.map(({ negative }) => negative)).size).toBe(1);
      expect(existence[0]?.negative).toBeDefined();
      expect(questions.filter(({ kind, negative }) => kind !== "existence" && negative)).toEqual([]);
    }
    expect((await openScenes(out)).fingerprint).toBe(set.fingerprint);
  });

  const broken: [string, (line: Record<string, unknown>) => unknown, RegExp][] = [
    ["another type", (l) => ({ ...l, width: "96" }), /annotations\.jsonl:2: width: .*expected number/],
    ["a field too many", (l) => ({ ...l, colour: 1 }), /annotations\.jsonl:2: .*colour/],
    ["a field too few", ({ image, ...l }) => l, /annotations\.jsonl:2: image: is missing/],
    [
      "no such picture",
      (l) => ({ ...l, image: "images/9.jpg" }),
      /annotations\.jsonl:2: image: there is no file/,
    ],
    [
      "a picture elsewhere",
      (l) => ({ ...l, image: "../x.jpg" }),
      /annotations\.jsonl:2: image: must be a relative/,
    ],
    [
      "an unknown kind of question",
      (l) => ({ ...l, questions: [{ id: "a", kind: "riddle", question: "?", answer: "b" }] }),
      /annotations\.jsonl:2: questions\[0\]\.kind: /,
    ],
    [
      "a mask of another size",
      (l) => ({ ...l, objects: changed(l, { mask: { size: [1, 1], counts: "1" } }) }),
      /annotations\.jsonl:2: objects\[0\]\.mask\.size: is not the picture's \(found 1x1, expected 96x96\)/,
    ],
    [
      "run lengths that do not add up",
      (l) => ({ ...l, objects: changed(l, { mask: { size: [96, 96], counts: "5" } }) }),
      /annotations\.jsonl:2: objects\[0\]\.mask\.counts: runs of 5 pixels/,
    ],
  ];
  test.each(broken)("%s is refused by file, line and field", async (_, change, message) => {
    const out = await scenes();
    const set = await openDataset(out);
    expect(set.pictures.length).toBe(3);
    const file = join(out, "annotations.jsonl");
    const lines = readFileSync(file, "utf8").split("\n");
    lines[1] = JSON.stringify(change(JSON.parse(lines[1] as string)));
    writeFileSync(file, lines.join("\n"));
    await expect(openDataset(out)).rejects.toThrow(message);
  });

  function changed(line: Record<string, unknown>, fields: object): unknown[] {
    const [first, ...others] = line.objects as object[];
    return [{ ...first, ...fields }, ...others];
  }

  test("no JSON, fewer lines than told, another format, and no data set at all are refused", async () => {
    const out = await scenes();
    const file = join(out, "annotations.jsonl");
    writeFileSync(file, "{");
    await expect(openDataset(out)).rejects.toThrow(/annotations\.jsonl:1: not valid JSON/);
    writeFileSync(file, "");
    await expect(openDataset(out)).rejects.toThrow(/found 0 scenes, expected 3, as dataset\.json says/);
    writeFileSync(join(out, "dataset.json"), JSON.stringify({ format: "coco" }));
    await expect(openDataset(out)).rejects.toThrow(/dataset\.json: format: /);
    await expect(openDataset(folder)).rejects.toThrow(/is no data set \(found no dataset\.json/);
    await expect(openDataset(join(folder, "nothing"))).rejects.toThrow(/there is no such file or folder/);
  });
});

describe("a file of questions", () => {
  function file(...lines: unknown[]): string {
    for (const name of ["a.png", "b.png"]) writeFileSync(join(folder, name), name);
    const path = join(folder, "questions.jsonl");
    const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
    writeFileSync(path, text.join("\n"));
    return path;
  }

  test("is put together by pictures", async () => {
    const path = file(
      { question_id: 1, image: "a.png", text: "What?", answer: "this", category: "x", more: [1] },
      { question_id: "two", image: "b.png", question: "Who?", answers: ["she", "her"], kind: "y" },
      "",
      { question_id: 3, image: "a.png", text: "Where?", answer: ["here"] },
    );
    const { pictures, kind } = await openDataset(path);
    expect(kind).toBe("questions");
    expect(pictures).toEqual([
      {
        file: join(folder, "a.png"),
        questions: [
          { id: "1", text: "What?", answers: ["this"], kind: "x" },
          { id: "3", text: "Where?", answers: ["here"], kind: "question" },
        ],
      },
      {
        file: join(folder, "b.png"),
        questions: [{ id: "two", text: "Who?", answers: ["she", "her"], kind: "y" }],
      },
    ]);
    await expect(openScenes(path)).rejects.toThrow(/holds no scenes/);
  });

  test("pictures may lie in another folder; what they hold is part of the fingerprint by its size", async () => {
    const path = file({ question_id: 1, image: "a.png", text: "What?", answer: "this" });
    const other = join(folder, "pictures");
    mkdirSync(other);
    await expect(openDataset(path, other)).rejects.toThrow(
      /questions\.jsonl:1: image: there is no file .*pictures/,
    );
    writeFileSync(join(other, "a.png"), "a longer one");
    const [near, far] = [await openDataset(path), await openDataset(path, other)];
    expect(far.fingerprint).not.toBe(near.fingerprint);
  });

  const whole = { question_id: 1, image: "a.png", text: "What?", answer: "this" };
  test.each([
    [
      { ...whole, answer: undefined },
      /questions\.jsonl:2: answer: is missing, and so is answers; expected one of them/,
    ],
    [
      { ...whole, answers: ["a"] },
      /questions\.jsonl:2: answer: is there, and answers too; expected one of them/,
    ],
    [
      { ...whole, text: undefined },
      /questions\.jsonl:2: question: is missing, and so is text; expected one of them/,
    ],
    [{ ...whole, answer: 3 }, /questions\.jsonl:2: answer: /],
    [{ ...whole, image: undefined }, /questions\.jsonl:2: image: is missing/],
    [{ ...whole, question_id: 7 }, /questions\.jsonl:2: question_id: 7 is that of .*questions\.jsonl:1 too/],
    ["[]", /questions\.jsonl:2: /],
    ["nothing", /questions\.jsonl:2: not valid JSON/],
  ])("%j is refused by file, line and field", async (line, message) => {
    const path = file({ ...whole, question_id: 7 }, line);
    await expect(openDataset(path)).rejects.toThrow(message);
  });

  test("an empty file is refused", async () => {
    await expect(openDataset(file(""))).rejects.toThrow(/questions\.jsonl: holds no question/);
  });
});
