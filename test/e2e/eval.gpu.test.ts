import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AnswerLine, AskOutput, EvalOutput } from "mask-llava";
import { beforeAll, describe, expect, test } from "vitest";
import { savedMaskLlava } from "./mask-llava-folder.ts";
import { pngSize } from "./model-runs.ts";
import { fixture, keptFolder, sharedDeviceCli, temporaryFolder } from "./support.ts";

const cli = sharedDeviceCli();
const folder = keptFolder();
let model: string;
let scenes: string;
beforeAll(async () => {
  model = await savedMaskLlava(folder());
  scenes = join(folder(), "scenes");
  const { code } = await cli("scenes", "--seed", "11", "--count", "2", "--out", scenes);
  expect(code).toBe(0);
});

async function evaluate(...argv: string[]): Promise<EvalOutput> {
  const { code, stdout, stderr } = await cli("eval", "--max-new-tokens", "3", ...argv, "--json");
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^\{"accuracy":[\d.]+,.*\}\n$/);
  return JSON.parse(stdout) as EvalOutput;
}

function answersIn(file: string): AnswerLine[] {
  const text = readFileSync(file, "utf8");
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as AnswerLine);
}

/** What a repeated run gives again: all but the times. */
function withoutTimes(lines: readonly AnswerLine[]): unknown[] {
  return lines.map(({ metadata: { picture, ...metadata }, ...line }) => {
    return { ...line, metadata: { ...metadata, ...(picture && { picture: { ...picture, timings: 0 } }) } };
  });
}

describe("eval of scenes", () => {
  const flags = () => [
    ...["--dataset", scenes, "--model", model, "--tokens", "4,8,all", "--drop-policy", "score,random"],
    ...["--seed", "5", "--ablations", "--baseline", fixture("llava-default"), "--compare", `other=${model}`],
  ];
  const names = [
    ...["all tokens", "8 tokens, score", "8 tokens, random", "4 tokens, score", "4 tokens, random"],
    ...["without cls", "without patches", "without objects", "without background", "other", "baseline"],
  ];
  let output: EvalOutput;
  let lines: AnswerLine[];
  let files: Record<"answers" | "csv" | "json" | "svg" | "png", string>;
  beforeAll(async () => {
    const at = (name: string) => join(folder(), name);
    files = {
      answers: at("answers.jsonl"),
      csv: at("table.csv"),
      json: at("table.json"),
      svg: at("plot.svg"),
      png: at("plot.png"),
    };
    output = await evaluate(
      ...flags(),
      ...["--answers", files.answers, "--csv", files.csv, "--save-json", files.json],
      ...["--plot", files.svg, "--plot", files.png],
    );
    lines = answersIn(files.answers);
  }, 600_000);

  test("measures every configuration on every question", () => {
    const { questions, pictures } = output.dataset;
    expect(pictures).toBe(2);
    expect(output.configurations.map(({ name }) => name)).toEqual(names);
    expect(lines.length).toBe(questions * names.length);
    expect(new Set(lines.map(({ answer_id }) => answer_id)).size).toBe(lines.length);
    for (const c of output.configurations) {
      const own = lines.filter(({ metadata }) => metadata.configuration === c.name);
      expect(c.n).toBe(questions);
      expect(c.right).toBe(own.filter(({ metadata }) => metadata.right).length);
      expect(c.accuracy).toBe(c.right / questions);
      expect(Object.values(c.kinds).reduce((sum, { n }) => sum + n, 0)).toBe(questions);
    }
    expect(output.accuracy).toBe(output.configurations[0]?.accuracy);
    const tokens = Object.fromEntries(output.configurations.map((c) => [c.name, c.visualTokens]));
    const all = tokens["all tokens"] as number;
    expect(tokens).toMatchObject({ "8 tokens, score": 8, "4 tokens, random": 4, other: all });
    expect(tokens).toMatchObject({ "without cls": all - 1, "without patches": all - 9 });
    expect(tokens["without objects"]).toBe(1 + 9 + 1);
    expect(output.configurations.at(-1)).toMatchObject({ role: "baseline", model: fixture("llava-default") });
    const other = lines.filter(({ metadata }) => metadata.configuration === "other");
    const main = lines.filter(({ metadata }) => metadata.configuration === "all tokens");
    expect(other.map(({ text }) => text)).toEqual(main.map(({ text }) => text));
  });

  test("tells of detections, MaskInversion and times, in finite numbers", () => {
    const { detection, inversion, speed } = output;
    expect(detection?.scenes).toBe(2);
    expect(detection?.recall).toBeLessThanOrEqual(1);
    for (const value of [...Object.values(inversion?.mass ?? {}), ...Object.values(inversion?.dice ?? {})]) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(1);
    }
    expect(inversion?.objects).toBeGreaterThan(0);
    expect(speed.answers).toBe(lines.length);
    for (const stage of [
      "decodeImage",
      "vision",
      "detect",
      "segment",
      "objectTokens",
      "compose",
      "prefill",
      "decode",
    ])
      expect(speed.stages[stage], stage).toBeGreaterThan(0);
    const negatives = output.configurations[0]?.negatives ?? {};
    expect(Object.values(negatives).reduce((sum, { n }) => sum + n, 0)).toBe(4);
  });

  test("an answer is what ask gives", async () => {
    const some = lines.filter(({ metadata, question_id }) => {
      return (
        question_id === "000001-2" && ["all tokens", "4 tokens, random"].includes(metadata.configuration)
      );
    });
    expect(some.length).toBe(2);
    for (const { prompt, text, metadata } of some) {
      const budget =
        metadata.tokens === null
          ? []
          : ["--tokens", String(metadata.tokens), "--drop-policy", "random", "--seed", "5"];
      const picture = join(scenes, "images", "000001.jpg");
      const common = ["--model", model, "--max-new-tokens", "3", "--temperature", "0", "--json"];
      const { stdout, stderr } = await cli("ask", picture, prompt, "--raw-prompt", ...budget, ...common);
      const asked = JSON.parse(stdout || stderr) as AskOutput;
      expect({ text, visual: metadata.visual_tokens }).toEqual({
        text: asked.answer,
        visual: asked.tokens.visual,
      });
    }
  });

  test("writes CSV, JSON and plots", () => {
    expect(JSON.parse(readFileSync(files.json, "utf8"))).toEqual(output);
    const rows = readFileSync(files.csv, "utf8").trimEnd().split("\n");
    expect(rows.filter((row) => row.includes(",all,")).length).toBeGreaterThanOrEqual(names.length);
    expect(readFileSync(files.svg, "utf8")).toMatch(/^<svg /);
    expect(pngSize(files.png).width).toBeGreaterThan(1000);
  });

  test("--resume goes on after the last whole picture, and gives the same answers", async () => {
    const whole = readFileSync(files.answers, "utf8");
    const file = join(temporaryFolder(), "answers.jsonl");
    const perPicture = lines.findIndex(({ metadata }) => metadata.picture !== undefined) + 1;
    const kept = whole.split("\n").slice(0, perPicture + 2);
    writeFileSync(file, `${kept.join("\n")}\n{"question_id":"0000`);
    const again = await evaluate(...flags(), "--answers", file, "--resume");
    expect(withoutTimes(answersIn(file))).toEqual(withoutTimes(lines));
    expect(again.configurations).toEqual(output.configurations);
    expect(again.detection).toEqual(output.detection);
    const done = await evaluate(...flags(), "--answers", file, "--resume");
    expect(done.configurations).toEqual(output.configurations);
  });

  test("--resume refuses another checkpoint, another budget and other settings, and leaves the file alone", async () => {
    const changed = join(temporaryFolder(), "model");
    cpSync(model, changed, { recursive: true });
    const settings = join(changed, "mask_llava.json");
    writeFileSync(settings, readFileSync(settings, "utf8").replace("{", "{ "));
    const before = readFileSync(files.answers);
    const refused = async (says: RegExp, ...argv: string[]) => {
      const answers = ["--answers", files.answers, "--resume"];
      const outcome = await cli("eval", "--dataset", scenes, ...argv, ...answers);
      expect(outcome).toMatchObject({ code: 2, stdout: "" });
      expect(outcome.stderr).toMatch(says);
      expect(readFileSync(files.answers)).toEqual(before);
    };
    const budgets = ["--tokens", "4,8,all", "--drop-policy", "score,random", "--seed", "5", "--ablations"];
    const others = ["--baseline", fixture("llava-default"), "--compare", `other=${model}`];
    await refused(/metadata\.settings: /, "--model", model, ...budgets, ...others);
    const short = ["--max-new-tokens", "3"];
    await refused(/metadata\.checkpoint: /, "--model", changed, ...budgets, ...others, ...short);
    await refused(/metadata\.configuration: /, "--model", model, "--tokens", "4,all", ...short);
    await refused(/a line more than/, "--model", model, ...budgets, ...others, ...short, "--limit", "1");
  });

  test("without --json a table is printed", async () => {
    const { code, stdout } = await cli(
      ...["eval", "--dataset", scenes, "--model", model, "--limit", "1", "--max-new-tokens", "2"],
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/questions about 1 picture of /);
    expect(stdout).toMatch(/^all tokens +\d+\.0 +\d+\.\d +\d+\.\d - \d+\.\d/m);
    expect(stdout).toMatch(/^objects: recall /m);
    expect(stdout).toMatch(/answers\/s, \d+ new tokens\/s; .*prefill/);
    expect(stdout).not.toMatch(/NaN|undefined|\[object/);
  });

  test("probes need objects to be trained on", async () => {
    const { code, stdout, stderr } = await cli(
      ...["eval", "--dataset", scenes, "--model", model, "--limit", "1", "--probe-dataset", scenes],
    );
    // the tiny checkpoint's detector is random: it may, by chance, find some
    if (code === 0) expect(stdout).toMatch(/linear probes of \d+ objects/);
    else expect(stderr).toMatch(/--probe-dataset: the checkpoint finds none of the annotated objects/);
  });
});

describe("eval of a file of questions", () => {
  test("with LLaVA; an answer that is expected counts as right", async () => {
    const place = temporaryFolder();
    const file = join(place, "questions.jsonl");
    const picture = readdirSync(fixture("llava-default")).find((name) => name === "wide.png") as string;
    const asked = [
      { question_id: 1, image: picture, text: "What is it?", category: "what" },
      { question_id: 2, image: picture, text: "How many?", category: "count" },
    ];
    const write = (answers: readonly string[]) => {
      const lines = asked.map((line, i) => JSON.stringify({ ...line, answer: answers[i] }));
      writeFileSync(file, lines.join("\n"));
    };
    const run = (answers: string) =>
      evaluate(
        ...["--dataset", file, "--image-folder", fixture("llava-default"), "--suffix", "\nAnswer shortly."],
        ...["--model", fixture("llava-default"), "--answers", join(place, answers)],
      );
    write(["never said", "never said"]);
    const none = await run("none.jsonl");
    expect(none).toMatchObject({ accuracy: 0, configurations: [{ name: "all tokens", role: "main", n: 2 }] });
    const [first] = answersIn(join(place, "none.jsonl"));
    expect(first?.prompt).toContain("What is it?\nAnswer shortly.");
    write([`  ${first?.text.toUpperCase()}. `, "never said"]);
    const half = await run("half.jsonl");
    expect(half).toMatchObject({ accuracy: 0.5, dataset: { kind: "questions", pictures: 1, questions: 2 } });
    expect(half.configurations[0]?.kinds).toMatchObject({ what: { accuracy: 1 }, count: { accuracy: 0 } });
    expect(half).not.toHaveProperty("detection");
  });
});
