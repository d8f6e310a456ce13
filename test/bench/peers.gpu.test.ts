import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { testAdapter } from "../support/device.ts";
import { bench, outputFolder } from "./bench.ts";

const folder = outputFolder();

test("compares what both libraries compute alike, and says what was left out", async () => {
  const [json, csv, svg] = ["p.json", "p.csv", "p.svg"].map(folder.path) as [string, string, string];
  const flags = ["--adapter", testAdapter, "--size", "tiny", "--filter", "LLaMA decode q/k/v/o 1x"];
  const run = await bench("peers", ...flags, "--json", json, "--csv", csv, "--plot", svg);
  expect(run.stderr).toContain("[4/4]");
  expect(run.code).toBe(0);
  const report = JSON.parse(await readFile(json, "utf8"));
  const names = [...report.rows, ...report.skipped].map((r: { name: string }) => r.name);
  const types = ["f16", "f32", "q4_0", "q8_0"];
  expect(names.toSorted()).toEqual(types.map((type) => `matmul LLaMA decode q/k/v/o 1x256x256 ${type} none`));
  expect(report.peer.version).toMatch(/^\d+\.\d+\.\d+$/);
  for (const row of report.rows) {
    expect(row.ratio).toBeCloseTo(row.theirs.wall.median / row.ours.wall.median, 9);
    expect(row.difference).toBeLessThan(row.name.includes("f32") ? 1e-5 : 1e-2);
    expect(row.ours.wall.samples).toBeGreaterThanOrEqual(3);
  }
  // without f16 on the adapter, ONNX Runtime has nothing to compare with
  for (const { reason } of report.skipped) expect(reason).toContain("no f16");
  const logs = report.rows.map((r: { ratio: number }) => Math.log(r.ratio));
  const mean = logs.reduce((a: number, b: number) => a + b, 0) / logs.length;
  expect(report.geometricMean).toBeCloseTo(Math.exp(mean), 9);
  expect(run.stdout).toContain("geometric mean");
  expect((await readFile(csv, "utf8")).trim().split("\n")).toHaveLength(1 + report.rows.length);
  expect(await readFile(svg, "utf8")).toContain("LLaMA decode q/k/v/o");

  const out = folder.path("page.md");
  const page = await bench("page", "--results", folder.path(), "--out", out);
  expect(page).toMatchObject({ code: 0, stdout: expect.stringContaining("1 reports") });
  const written = await readFile(out, "utf8");
  expect(written).toContain("## Against ONNX Runtime's WebGPU provider");
  expect(written).toContain("geometric mean");
  const plot = /\((page\/p\.svg)\)/.exec(written)?.[1] ?? "";
  expect(await readFile(folder.path(plot), "utf8")).toContain("<svg");
});

test("a network is one graph of their operators", async () => {
  const json = folder.path("network.json");
  const flags = ["--adapter", testAdapter, "--size", "tiny", "--filter", "network CLIP"];
  const run = await bench("peers", ...flags, "--json", json);
  expect(run.code).toBe(0);
  const { rows } = JSON.parse(await readFile(json, "utf8"));
  expect(rows[0]).toMatchObject({ kind: "network", repeats: 1 });
  expect(rows[0].nodes).toBeGreaterThan(40);
  expect(rows[0].difference).toBeLessThan(1e-4);
});

test("a filter that leaves nothing is a bad flag", async () => {
  const { code, stderr } = await bench("peers", "--list", "--filter", "no such case");
  expect(stderr).toMatch(/--filter "no such case"/);
  expect(code).toBe(2);
});
