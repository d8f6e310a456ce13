import { readdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { testAdapter } from "../support/device.ts";
import { bench, outputFolder } from "./bench.ts";

const folder = outputFolder();

test("runs a network in a process of its own, from cold", async () => {
  const [json, csv, svg] = ["m.json", "m.csv", "m.svg"].map(folder.path) as [string, string, string];
  const flags = ["--adapter", testAdapter, "--size", "tiny", "--filter", "llama decode"];
  const run = await bench("models", ...flags, "--json", json, "--csv", csv, "--plot", svg);
  expect(run.stderr).toContain("[1/1] LLaMA decode");
  expect(run.code).toBe(0);
  const { rows, loading, conditions } = JSON.parse(await readFile(json, "utf8"));
  expect(rows).toHaveLength(1);
  const [row] = rows;
  for (const time of ["load", "build", "first", "submit", "compile"]) expect(row[time]).toBeGreaterThan(0);
  expect(row.run.samples).toBeGreaterThanOrEqual(2);
  // drivers compile in the first run
  expect(row.first).toBeGreaterThan(row.run.min);
  expect(row.dispatches).toBeGreaterThanOrEqual(15);
  expect(row.pipelines).toBeGreaterThan(5);
  expect(row.gflops).toBeCloseTo(row.flops / row.run.median / 1e6, 9);
  // two layers of 256 x (4 x 256 + 3 x 704), embedding and head of 1024 x 256, all of f16, and the norms
  const parameters = 2 * (4 * 256 * 256 + 3 * 256 * 704) + 2 * 1024 * 256;
  const cache = 2 * 2 * 704 * 256;
  expect(row.bytes.weights).toBe(2 * (parameters + cache) + 4 * 5 * 256);
  expect(row.bytes.peakGpu).toBeGreaterThan(row.bytes.weights);
  expect(row.peakHost).toBeGreaterThan(50e6);
  for (const rate of [loading.load, loading.read, loading.write]) expect(rate).toBeGreaterThan(0);
  expect(conditions.adapter.description).not.toBe("");
  expect((await readFile(csv, "utf8")).trim().split("\n")).toHaveLength(2);
  expect(await readFile(svg, "utf8")).toContain("LLaMA decode");
  expect((await readdir(folder.path())).sort()).toEqual(["m.csv", "m.json", "m.svg"]);
});

test("an adapter that is not there is a failure, told once", async () => {
  const { code, stderr, stdout } = await bench("models", "--adapter", "no such adapter");
  expect(stderr).toMatch(/no adapter is called "no such adapter"/);
  expect(stdout).toBe("");
  expect(code).toBe(1);
});
