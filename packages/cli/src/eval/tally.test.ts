import { expect, test } from "vitest";
import type { AnswerLine, AnswerMetadata } from "./answer-line.ts";
import type { Configuration } from "./configurations.ts";
import { formatCsv } from "./csv.ts";
import { Tally } from "./tally.ts";

const configuration: Configuration = {
  name: 'all "tokens"',
  role: "main",
  tokens: null,
  dropPolicy: null,
  compose: {},
};

function line(text: string, answer: string, fields: Partial<AnswerMetadata>): AnswerLine {
  const metadata = {
    ...{
      dataset: "d",
      checkpoint: "c",
      configuration: "all",
      tokens: null,
      drop_policy: null,
      settings: "s",
    },
    ...{ kind: "existence", right: text === answer, answers: [answer] },
    ...{ visual_tokens: 10, new_tokens: 2, finish_reason: "eos" },
    ...fields,
  };
  return { question_id: "q", prompt: "p", text, answer_id: "a", model_id: "m", metadata };
}

const lines = [
  line("yes", "yes", { negative: "random" }),
  line("yes", "no", { negative: "random" }),
  line("no", "yes", { negative: "popular" }),
  line("no", "no", { negative: "popular" }),
  line("Yes", "yes", { negative: "popular", right: true }),
  line("perhaps", "no", { negative: "popular" }),
  line("red", "red", { kind: "colour", visual_tokens: 20, new_tokens: 3 }),
  line("blue", "red", { kind: "colour" }),
];

function result(of: readonly AnswerLine[]) {
  const tally = new Tally();
  for (const one of of) tally.add(one);
  return tally.result(configuration, "m");
}

test("accuracy is over questions; kinds with yes and no tell more, as POPE does", () => {
  const told = result(lines);
  expect(told).toMatchObject({ accuracy: 0.5, right: 4, n: 8, visualTokens: 11.25, newTokens: 17 / 8 });
  expect(told.kinds.colour).toEqual(expect.objectContaining({ accuracy: 0.5, n: 2 }));
  expect(told.kinds.colour).not.toHaveProperty("yesRatio");
  expect(told.kinds.existence).toMatchObject({
    accuracy: 0.5,
    n: 6,
    yesRatio: 0.5,
    precision: 2 / 3,
    recall: 2 / 3,
    f1: 2 / 3,
  });
  expect(told.negatives?.random).toMatchObject({
    accuracy: 0.5,
    n: 2,
    yesRatio: 1,
    precision: 0.5,
    recall: 1,
  });
  expect(told.negatives?.popular).toMatchObject({ accuracy: 0.5, n: 4, yesRatio: 0.25 });
  expect(told.negatives).not.toHaveProperty("adversarial");
});

test("nothing asked is nothing right, and never NaN", () => {
  const told = result([]);
  expect(told).toMatchObject({
    accuracy: 0,
    n: 0,
    interval: [0, 1],
    visualTokens: 0,
    newTokens: 0,
    kinds: {},
  });
  const silent = result([line("", "yes", {}), line("", "no", {})]);
  expect(silent.kinds.existence).toMatchObject({ yesRatio: 0, precision: 0, recall: 0, f1: 0 });
});

test("CSV has a line a kind, and quotes what needs it", () => {
  const rows = formatCsv([result(lines)])
    .trimEnd()
    .split("\n");
  expect(rows.length).toBe(6);
  expect(rows[0]).toBe(
    "configuration,role,model,tokens,drop_policy,visual_tokens,kind,accuracy,low,high,right,n,yes_ratio,precision,recall,f1",
  );
  expect(rows[1]).toMatch(/^"all ""tokens""",main,m,all,,11\.25,all,0\.5,0\.\d+,0\.\d+,4,8,,,,$/);
  expect(rows.map((row) => row.split(",")[6])).toEqual([
    "kind",
    "all",
    "existence",
    "colour",
    "existence/random",
    "existence/popular",
  ]);
});
