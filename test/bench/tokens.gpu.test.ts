import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { testAdapter } from "../support/device.ts";
import { bench, outputFolder } from "./bench.ts";

const folder = outputFolder();

test("measures both compositions at each number of tokens, and fits what one costs", async () => {
  const [json, csv, svg, png] = ["t.json", "t.csv", "t.svg", "t.png"].map(folder.path) as [
    string,
    string,
    string,
    string,
  ];
  const sizes = ["--synthetic", "tiny", "--tokens", "8,64,600", "--rounds", "2", "--answer", "3"];
  const files = ["--json", json, "--csv", csv, "--plot", svg, "--plot", png];
  const run = await bench("tokens", "--adapter", testAdapter, ...sizes, ...files);
  expect(run.stderr).toContain("round 2 of 2");
  expect(run.code).toBe(0);
  const { rows, costs, subject } = JSON.parse(await readFile(json, "utf8"));
  // LLaVA has 576 patches; Mask-LLaVA has [CLS], 30 objects and the background besides
  expect(
    rows.map((r: { composition: string; visualTokens: number }) => [r.composition, r.visualTokens]),
  ).toEqual([
    ["Mask-LLaVA", 8],
    ["Mask-LLaVA", 64],
    ["Mask-LLaVA", 600],
    ["LLaVA", 8],
    ["LLaVA", 64],
  ]);
  for (const row of rows) {
    expect(row.promptTokens).toBe(row.visualTokens + subject.textTokens);
    expect(row.firstToken.samples).toBe(2);
    expect(row.decodeRate).toBeCloseTo(1e3 / row.step.median, 6);
    // keys and values of two layers of 256 in f16
    expect(row.kvBytes).toBe((row.promptTokens + 3) * 2 * 2 * 256 * 2);
  }
  expect(costs).toHaveLength(6);
  const prefill = costs.find((c: { of: string }) => c.of === "first token");
  expect(prefill.fit.slope).toBeGreaterThan(0);
  expect(prefill.fit.standardError).toBeGreaterThan(0);
  expect(run.stdout).toMatch(/a visual token costs .* ms of the first token/);
  expect((await readFile(csv, "utf8")).trim().split("\n")).toHaveLength(6);
  expect(await readFile(svg, "utf8")).toContain("What visual tokens cost");
  expect((await readFile(png)).subarray(1, 4).toString()).toBe("PNG");
});

test.each([
  [["--tokens", "8,x"], /--tokens.*8,x.*whole number/],
  [["--synthetic", "tiny", "--model", "d"], /--synthetic.*cannot be used with.*--model/],
  [["--synthetic", "9b"], /--synthetic.*9b.*tiny, 100m, 1b, 7b/],
  [["--filter", "neither"], /--filter "neither".*Mask-LLaVA, LLaVA/],
  [["--rounds", "1"], /--rounds.*at least 2/],
])("%j is a bad flag: exit code 2", async (args, message) => {
  const { code, stdout, stderr } = await bench("tokens", ...args);
  expect(stderr).toMatch(message);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("a folder that is no checkpoint is named", async () => {
  const { code, stderr } = await bench("tokens", "--adapter", testAdapter, "--model", folder.path());
  expect(stderr).toMatch(/mask_llava\.json/);
  expect(code).toBe(1);
});
