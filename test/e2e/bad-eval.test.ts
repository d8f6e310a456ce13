import { cpSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { savedMaskLlava } from "./mask-llava-folder.ts";
import { cli, filesBelow, fixture, keptFolder, temporaryFolder } from "./support.ts";

const llava = fixture("llava-default");
const clip = fixture("clip-quick-gelu");
const folder = keptFolder();
let model: string;
let scenes: string;
let questions: string;
beforeAll(async () => {
  model = await savedMaskLlava(folder());
  scenes = join(folder(), "scenes");
  await cli("scenes", "--seed", "1", "--count", "1", "--out", scenes);
  writeFileSync(join(folder(), "there.jsonl"), "");
  symlinkSync(scenes, join(folder(), "link"));
  // questions whose picture does not lie with them
  const question = { question_id: 1, image: "000000.jpg", text: "What is it?", answer: "a square" };
  questions = join(folder(), "questions.jsonl");
  writeFileSync(questions, JSON.stringify(question));
  cpSync(join(scenes, "images"), join(folder(), "pictures"), { recursive: true });
});

interface Place {
  readonly run: readonly string[];
  /** An empty folder of the test's own. */
  readonly out: string;
}

/** What is said, the command line, the exit code, and what the message must name. None of them gets as far as a device. */
const rows: readonly (readonly [
  name: string,
  argv: (place: Place) => readonly string[],
  code: 1 | 2,
  says: RegExp,
])[] = [
  ["no data set", () => ["--model", model], 2, /required option '--dataset <path>' not specified/],
  ["a budget in words", ({ run }) => [...run, "--tokens", "few"], 2, /--tokens.*'few'.*such as 8,16,24,all/],
  ["an unknown cache", ({ run }) => [...run, "--kv-dtype", "int8"], 2, /--kv-dtype.*'int8'.*f32, f16, q8/],
  [
    "an unknown policy",
    ({ run }) => [...run, "--drop-policy", "best"],
    2,
    /--drop-policy.*Expected score, area/,
  ],
  ["a seed of nothing", ({ run }) => [...run, "--seed", "1"], 2, /--seed has a meaning only with/],
  ["a plot of another kind", ({ run }) => [...run, "--plot", "a.pdf"], 2, /--plot.*ends in \.svg or \.png/],
  ["--resume of nothing", ({ run }) => [...run, "--resume"], 2, /--resume needs --answers FILE/],
  [
    "--compare without a name",
    ({ run }) => [...run, "--compare", "=x"],
    2,
    /--compare.*a name and a checkpoint/,
  ],
  [
    "a data set that is not there",
    () => ["--dataset", "nothing", "--model", model],
    1,
    /nothing: there is no such/,
  ],
  [
    "a folder that is no data set",
    () => ["--dataset", llava, "--model", model],
    1,
    /is no data set.*dataset\.json/,
  ],
  ["a model of another kind", () => ["--dataset", scenes, "--model", clip], 1, /model_type/],
  [
    "budgets of LLaVA",
    () => ["--dataset", scenes, "--model", llava, "--tokens", "8", "--no-cls"],
    2,
    /--tokens --no-cls: needs a Mask-LLaVA checkpoint, found no mask_llava\.json in /,
  ],
  [
    "a baseline that is no LLaVA",
    ({ run }) => [...run, "--baseline", model],
    1,
    /holds a Mask-LLaVA checkpoint/,
  ],
  [
    "a comparison with LLaVA",
    ({ run }) => [...run, "--compare", `a=${llava}`],
    1,
    /holds no Mask-LLaVA checkpoint/,
  ],
  [
    "a comparison with nothing",
    ({ run }) => [...run, "--compare", "a=nothing"],
    1,
    /nothing.*no such folder/,
  ],
  [
    "probes of a file of questions",
    ({ run }) => [...run, "--probe-dataset", join(folder(), "there.jsonl")],
    1,
    /there\.jsonl: holds no question/,
  ],
  [
    "answers over a file",
    ({ run }) => [...run, "--answers", join(folder(), "there.jsonl")],
    2,
    /there\.jsonl: is there already; --resume goes on from it/,
  ],
  [
    "a table in no folder",
    ({ run }) => [...run, "--csv", "no/where.csv"],
    1,
    /--csv no\/where\.csv: there is no folder/,
  ],
  [
    "a table over the model",
    ({ run }) => [...run, "--save-json", join(model, "mask_llava.json")],
    2,
    /--save-json .* would replace a file of the model/,
  ],
  [
    "a plot over the baseline",
    ({ run }) => [...run, "--baseline", llava, "--csv", join(llava, "config.json")],
    2,
    /--csv .* would replace a file of the model/,
  ],
  [
    "a result over the data set",
    ({ run }) => [...run, "--save-json", join(scenes, "dataset.json")],
    2,
    /--save-json .*dataset\.json would replace a file of the data set .*scenes/,
  ],
  [
    "a table over a picture of the scenes, by another name",
    ({ run }) => [...run, "--csv", join(folder(), "link", "images", "000000.jpg")],
    2,
    /--csv .*000000\.jpg would replace a file of the data set .*scenes/,
  ],
  [
    "a table over the probes' scenes",
    () => {
      const flags = ["--dataset", questions, "--image-folder", join(folder(), "pictures"), "--model", model];
      return [...flags, "--probe-dataset", scenes, "--csv", join(scenes, "annotations.jsonl")];
    },
    2,
    /--csv .*annotations\.jsonl would replace a file of the data set .*scenes/,
  ],
  [
    "answers that go on from the scenes",
    ({ run }) => [...run, "--resume", "--answers", join(scenes, "annotations.jsonl")],
    2,
    /--answers .*annotations\.jsonl would replace a file that is read/,
  ],
  [
    "a table over the questions",
    () => ["--dataset", questions, "--model", model, "--csv", questions],
    2,
    /--csv .*questions\.jsonl would replace a file that is read/,
  ],
  [
    "a table over a picture of the questions",
    () => {
      const pictures = join(folder(), "pictures");
      const flags = ["--dataset", questions, "--image-folder", pictures, "--model", model];
      return [...flags, "--csv", join(pictures, "000000.jpg")];
    },
    2,
    /--csv .*000000\.jpg would replace a file that is read/,
  ],
  [
    "one file for two plots",
    ({ run, out }) => [...run, "--plot", join(out, "a.png"), "--plot", join(out, "a.png")],
    2,
    /--plot .*a\.png is the file of --plot too/,
  ],
];

describe("eval says what is wrong before anything runs", () => {
  test.each(rows)("%s", async (_, argv, code, says) => {
    const out = temporaryFolder();
    const before = filesBelow(folder());
    const outcome = await cli("eval", ...argv({ run: ["--dataset", scenes, "--model", model], out }));
    expect({ code: outcome.code, stdout: outcome.stdout }).toEqual({ code, stdout: "" });
    expect(outcome.stderr).toMatch(says);
    expect(outcome.stderr).not.toMatch(/^\s+at .*:\d+/m);
    expect([...filesBelow(folder()), ...filesBelow(out)]).toEqual(before);
  });
});
