import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";
import { type CommandResult, runNode } from "../support/cli.ts";

const main = fileURLToPath(new URL("../../bench/dist/main.js", import.meta.url));

/** Runs the built benchmarks with `args`. */
export function bench(...args: string[]): Promise<CommandResult> {
  return runNode([main, ...args]);
}

/** A folder for a test file's outputs; `path` is for use inside of its tests. */
export function outputFolder(): { path(name?: string): string } {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mask-llava-bench-"));
  });
  afterAll(() => rm(folder, { recursive: true }));
  return { path: (name = "") => join(folder, name) };
}
