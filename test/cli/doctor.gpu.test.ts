import { expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { testAdapter } from "../support/device.ts";

test("doctor --json prints one object, in which the adapter under test computes correctly", async () => {
  const { code, stdout, stderr } = await runCli([
    "doctor",
    "--adapter",
    testAdapter,
    "--memory",
    "512MiB",
    "--json",
  ]);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ ok: true, problem: null });
  expect(report.adapter.memory).toEqual({ bytes: 2 ** 29, source: "set by --memory" });
  if (testAdapter !== "auto") expect(report.adapter.device).toBe(testAdapter);
  const results = Object.fromEntries(
    report.selfTest.map((result: { name: string; status: string }) => [result.name, result.status]),
  );
  const { f16, subgroups } = report.adapter.features;
  expect(results).toEqual({
    matmul: "pass",
    f16: f16 ? "pass" : "skipped",
    subgroups: subgroups ? "pass" : "skipped",
  });
  expect(stderr).toBe(""); // Nothing of what the driver prints.
  expect(code).toBe(0);
});

test("doctor says the same in words", async () => {
  const { code, stdout, stderr } = await runCli(["doctor", "--adapter", testAdapter]);
  for (const title of ["Machine", "Adapters", "Adapter in use", "Self-test"])
    expect(stdout).toContain(`${title}\n  `);
  expect(stdout).toMatch(/memory budget +[\d.]+ [GM]iB \(/);
  expect(stdout).toMatch(/All is well.*\n$/);
  expect(stderr).toBe("");
  expect(code).toBe(0);
});
