#!/usr/bin/env node
/**
 * `npm test [-- PATH ...]`: makes the project ready, checks types and style, and runs the tests: those that need no
 * adapter once, those named *.gpu.test.ts on every adapter of this machine, which always has the embedded one. The last
 * line is `N passed, N failed`; the exit code is 1 where anything failed or nothing ran. With paths, only the tests
 * whose files match, and no checks.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BootstrapError, bootstrap, root } from "./bootstrap.mjs";
import { countResults } from "./count-results.mjs";

const filters = process.argv.slice(2);
const modules = join(root, "node_modules");

async function main() {
  try {
    await bootstrap();
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error;
    console.error(`mask-llava: ${error.message}`);
    return { passed: 0, failed: 1 };
  }
  const failedChecks = filters.length > 0 ? 0 : runChecks();
  const adapters = await findAdapters();
  console.log(`adapters under test: ${adapters.join(", ") || "none"}`);
  const { passed, failed } = runTests(adapters);
  return { passed, failed: failed + failedChecks };
}

/** Types and style. Each check that fails counts as one failure. */
function runChecks() {
  const checks = [
    ["types", join(modules, "typescript", "bin", "tsc"), ["--build"]],
    ["style", join(modules, "@biomejs", "biome", "bin", "biome"), ["check", "--diagnostic-level=error", "."]],
  ];
  const failed = checks.filter(([name, script, args]) => {
    const { status } = run(script, args);
    console.log(`check of ${name}: ${status === 0 ? "passed" : "FAILED"}`);
    return status !== 0;
  });
  return failed.length;
}

function run(script, args, env = {}) {
  return spawnSync(process.execPath, [script, ...args], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
}

/** The names of this machine's adapters: installed drivers' and the embedded one. */
async function findAdapters() {
  const { listAdapters } = await import("../packages/runtime/dist/node/index.js");
  return [...new Set((await listAdapters()).map(({ name }) => name))];
}

function runTests(adapters) {
  const folder = mkdtempSync(join(tmpdir(), "mask-llava-test-"));
  const report = join(folder, "report.json");
  try {
    const { status } = run(
      join(modules, "vitest", "vitest.mjs"),
      ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...filters],
      { MASK_LLAVA_TEST_ADAPTERS: JSON.stringify(adapters) },
    );
    if (!existsSync(report)) return { passed: 0, failed: 1 };
    const { passed, failed } = countResults(JSON.parse(readFileSync(report, "utf8")));
    // Errors outside of tests fail the run without failing a test.
    return { passed, failed: failed === 0 && status !== 0 ? 1 : failed };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const { passed, failed } = await main();
if (passed === 0 || failed > 0) process.exitCode = 1;
console.log(`${passed} passed, ${failed} failed`);
