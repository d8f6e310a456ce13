import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { cli, fixture, onAdapter, temporaryFolder } from "./support.ts";

afterEach(() => vi.unstubAllEnvs());

const generate = [
  "generate",
  "a b",
  "--model",
  fixture("llama-gqa"),
  "--raw-prompt",
  "--max-new-tokens",
  "3",
];

test("tune times what a command line computes, and later ones take what it found", async () => {
  vi.stubEnv("XDG_CACHE_HOME", temporaryFolder());
  const plain = await cli(...generate, "--temperature", "0", ...onAdapter);
  expect(plain.code, plain.stderr).toBe(0);
  const run = await cli("tune", "--json", "--filter", "rms-norm", ...onAdapter, "--", ...generate);
  expect(run.code, run.stderr).toBe(0);
  const { file, tuned } = JSON.parse(run.stdout);
  expect(tuned.length).toBeGreaterThan(0);
  for (const { key, refused } of tuned) {
    expect(key).toContain("rms-norm");
    expect(refused).toEqual({});
  }
  for (const { usual, chosen, milliseconds } of tuned)
    expect(milliseconds[chosen]).toBeLessThanOrEqual(milliseconds[usual]);
  const { choices } = JSON.parse(readFileSync(file, "utf8"));
  const changed = tuned.filter(({ usual, chosen }: Record<string, string>) => usual !== chosen);
  expect(Object.keys(choices).sort()).toEqual(changed.map(({ key }: { key: string }) => key).sort());
  const after = await cli(...generate, "--temperature", "0", ...onAdapter);
  expect(after).toMatchObject({ code: 0, stdout: plain.stdout });
});

test("a command line that is wrong is told as ever, and nothing is written", async () => {
  vi.stubEnv("XDG_CACHE_HOME", temporaryFolder());
  const unknown = await cli("tune", ...onAdapter, "--", "no-such-command");
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("no-such-command") });
  const absent = await cli("tune", ...onAdapter, "--", "generate", "a", "--model", join(fixture(), "absent"));
  expect(absent).toMatchObject({ code: 1, stderr: expect.stringContaining("absent") });
});
