import { readdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { testAdapter } from "../support/device.ts";
import { bench, outputFolder } from "./bench.ts";

const folder = outputFolder();

test("times cases that it has checked, against roofs of the same run", async () => {
  const [json, csv] = [folder.path("k.json"), folder.path("k.csv")];
  const files = ["--json", json, "--csv", csv];
  const run = await bench(
    "kernels",
    "--adapter",
    testAdapter,
    "--size",
    "tiny",
    "--filter",
    "llama decode q/k/v/o 1x",
    ...files,
  );
  expect(run.stderr).toContain("[4/4]");
  expect(run.code).toBe(0);
  expect(run.stdout).toMatch(/read roof .* GB\/s/);
  const report = JSON.parse(await readFile(json, "utf8"));
  expect(report.roofs.readBytesPerSecond).toBeGreaterThan(1e8);
  expect(report.roofs.flopsPerSecond).toBeGreaterThan(1e8);
  expect(report.conditions.adapter.description).not.toBe("");
  expect(report.rows.map((r: { name: string }) => r.name)).toEqual([
    "matmul LLaMA decode q/k/v/o 1x256x256 f32 none",
    "matmul LLaMA decode q/k/v/o 1x256x256 f16 none",
    "matmul LLaMA decode q/k/v/o 1x256x256 q8_0 none",
    "matmul LLaMA decode q/k/v/o 1x256x256 q4_0 none",
  ]);
  for (const row of report.rows) {
    expect(row.checked.how).toBe("all elements");
    expect(row.time.samples).toBeGreaterThanOrEqual(3);
    // as many runs as last long enough to be timed: one, where the machine is busy
    expect(row.chain).toBeGreaterThanOrEqual(1);
    expect(row.gflops).toBeCloseTo((2 * 256 * 256) / row.time.median / 1e6, 6);
  }
  expect((await readFile(csv, "utf8")).trim().split("\n")).toHaveLength(5);
  expect((await readdir(folder.path())).sort()).toEqual(["k.csv", "k.json"]);
});

test.each([
  [["--size", "huge"], /--size.*huge.*tiny, small, real/],
  [["--filter", "no such kernel", "--list"], /--filter "no such kernel": no name contains that/],
  [["--adapter", ""], /--adapter.*empty/],
  [["--json"], /--json.*missing/],
  [["--plot", "k.jpg"], /--plot.*k\.jpg.*\.svg or \.png/],
  [["--frobnicate"], /unknown option '--frobnicate'/],
  [["surplus"], /too many arguments/],
])("%j is a bad flag: exit code 2", async (args, message) => {
  const { code, stdout, stderr } = await bench("kernels", ...args);
  expect(stderr).toMatch(message);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("a file that could not be written is told before anything is measured", async () => {
  const { code, stderr } = await bench("kernels", "--json", folder.path("missing/k.json"));
  expect(stderr).toMatch(/--json .*missing.*nothing can be written/);
  expect(code).toBe(1);
});

test("help has examples", async () => {
  const { code, stdout } = await bench("kernels", "--help");
  expect(stdout).toContain("$ npm run bench -- kernels --filter");
  expect(code).toBe(0);
});
