import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkEvalOutputs } from "./outputs.ts";

let dataset: string;
beforeEach(() => {
  dataset = mkdtempSync(join(tmpdir(), "mask-llava-eval-outputs-"));
  writeFileSync(join(dataset, "mine.txt"), "");
});
afterEach(() => rmSync(dataset, { recursive: true, force: true }));

const check = (files: { answers?: string; resume?: true; csv?: string }) =>
  checkEvalOutputs({
    dataset,
    adapter: "auto",
    dtype: "f32",
    cls: true,
    patches: true,
    background: true,
    ...files,
  });

test("new files may lie with the data set, and answers may go on there", async () => {
  await check({ answers: join(dataset, "answers.jsonl"), csv: join(dataset, "table.csv") });
  await check({ answers: join(dataset, "mine.txt"), resume: true });
});

test("a file that lies with the data set is not replaced", async () => {
  await expect(check({ csv: join(dataset, "mine.txt") })).rejects.toThrow(
    `--csv ${join(dataset, "mine.txt")} would replace a file of the data set ${dataset}`,
  );
});
