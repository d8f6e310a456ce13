import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { countResults } from "./count-results.mjs";
import { withLock } from "./lock.mjs";

describe("withLock", () => {
  let folder;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "lock-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("one at a time, and nothing stays", async () => {
    const path = join(folder, "a", "b.lock");
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await setTimeout(20);
      inside--;
    };
    await Promise.all(Array.from({ length: 4 }, () => withLock(path, work)));
    expect(most).toBe(1);
    expect(readdirSync(join(folder, "a"))).toEqual([]);
  });
  test("released when the work fails", async () => {
    const path = join(folder, "x.lock");
    await expect(withLock(path, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(existsSync(path)).toBe(false);
  });
  test("taken over from a process that is gone", async () => {
    const path = join(folder, "x.lock");
    writeFileSync(path, String(spawnSync(process.execPath, ["--version"]).pid));
    expect(await withLock(path, () => 3)).toBe(3);
  });
});

describe("countResults", () => {
  const file = (status, ...tests) => ({ status, assertionResults: tests.map((each) => ({ status: each })) });
  test("tests, not files; what is skipped is neither", () => {
    const report = {
      testResults: [file("passed", "passed", "passed", "skipped"), file("failed", "failed", "passed")],
    };
    expect(countResults(report)).toEqual({ passed: 3, failed: 1 });
  });
  test("a file that fails to load counts", () => {
    expect(countResults({ testResults: [file("failed")] })).toEqual({ passed: 0, failed: 1 });
  });
  test("nothing", () => {
    expect(countResults({ testResults: [] })).toEqual({ passed: 0, failed: 0 });
  });
});
