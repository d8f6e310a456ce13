import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../support/cli.ts";

test("no adapter of the name: exit code 1, and the names there are", async () => {
  const { code, stdout } = await runCli(["doctor", "--adapter", "no such adapter", "--json"]);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ ok: false, adapter: null, selfTest: [] });
  expect(report.problem).toContain('"no such adapter"');
  for (const { description } of report.adapters) expect(report.problem).toContain(description);
  expect(code).toBe(1);
});

test("drivers that cannot be used are named, with what is wrong with them", async () => {
  const folder = mkdtempSync(join(tmpdir(), "doctor-"));
  try {
    const icd = join(folder, "broken.json");
    writeFileSync(icd, '{"ICD": {"library_path": "./gone.so"}}');
    const { stdout } = await runCli(["doctor"], { env: { VK_DRIVER_FILES: icd } });
    expect(stdout).toContain("VK_DRIVER_FILES replaces the search");
    expect(stdout).toContain(`${icd}: cannot be used: its driver ${join(folder, "gone.so")} does not exist`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  [["doctor", "--memory", "3 parsecs"], /--memory.*3 parsecs.*512MiB/],
  [["doctor", "--memory", "0"], /--memory.*above 0/],
  [["doctor", "--adapter", " "], /--adapter.*auto, gpu, software/],
  [["doctor", "--jsn"], /unknown option '--jsn'/],
  [["doctor", "extra"], /too many arguments/],
  [["diagnose"], /unknown command 'diagnose'/],
])("%j is not understood: exit code 2", async (args, message) => {
  const { code, stdout, stderr } = await runCli(args);
  expect(stderr).toMatch(message);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test("help goes to stdout and is no failure", async () => {
  const { code, stdout, stderr } = await runCli(["doctor", "--help"]);
  expect(stdout).toContain("Examples:");
  expect(stderr).toBe("");
  expect(code).toBe(0);
});
