import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runNode, runProgram } from "../support/cli.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const script = join(root, "scripts", "bundle.mjs");
const onSwiftShader = ["--adapter", "swiftshader"];
/** Software adapters are slow, and machines that test may be busy. */
const patience = 600_000;
const glibc = process.platform === "linux" && process.arch === "x64" && hasGlibc();

function hasGlibc(): boolean {
  const report = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return report.header.glibcVersionRuntime !== undefined;
}

describe.skipIf(!glibc)("the archive, unpacked, with an empty environment", { timeout: patience }, () => {
  let folder: string;
  let unpacked: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "mask-llava bundle-"));
    unpacked = join(folder, "unpacked");
    const { code, stderr, stdout } = await runNode([script, "--unpacked", "--out", unpacked]);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/Node +\d+\.\d MiB +1 file/);
  }, patience);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs a program of the archive, or one by its path, where nothing but the archive can be found. */
  function run(name: string, ...args: string[]) {
    const cwd = join(folder, "work");
    mkdirSync(cwd, { recursive: true });
    return runProgram(resolve(unpacked, "bin", name), args, { cwd, env: { PATH: "/nowhere", HOME: folder } });
  }

  test("is started through links, with the Node that came along", async () => {
    mkdirSync(join(folder, "links"));
    symlinkSync("../unpacked/bin/mask-llava", join(folder, "links", "relative"));
    symlinkSync(join(folder, "links", "relative"), join(folder, "links", "to a link"));
    const { version } = JSON.parse(readFileSync(join(root, "packages/cli/package.json"), "utf8"));
    for (const path of ["mask-llava", join(folder, "links", "to a link")]) {
      expect(await run(path, "--version")).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: "" });
    }
    expect(await run("mask-llava", "diagnose")).toMatchObject({ code: 2 });
  });

  test("doctor: its own software adapter computes", async () => {
    const { code, stdout } = await run("mask-llava", "doctor", ...onSwiftShader, "--json");
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ ok: true, node: process.version, adapter: { origin: "embedded" } });
    expect(code).toBe(0);
  });

  test("ask: pictures are decoded and drawn, templates rendered, and the embedded checkpoint answers", async () => {
    const { code, stdout, stderr } = await run("mask-llava", "ask", ...onSwiftShader);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/\w/);
    expect(existsSync(join(folder, "work", "mask-llava-tokens.png"))).toBe(true);
  });

  test("scenes are drawn, and eval plots what is answered about them", async () => {
    const drawn = await run("mask-llava", "scenes", "--seed", "1", "--count", "1", "--out", "drawn");
    expect(drawn.code, drawn.stderr).toBe(0);
    const flags = ["--model", join(unpacked, "app", "checkpoint"), "--limit", "1", "--plot", "accuracy.png"];
    const { code, stderr } = await run(
      "mask-llava",
      "eval",
      "--dataset",
      "drawn",
      ...flags,
      ...onSwiftShader,
    );
    expect(code, stderr).toBe(0);
    expect(existsSync(join(folder, "work", "accuracy.png"))).toBe(true);
  });

  test("the benchmarks: they know their commit", async () => {
    const flags = ["--size", "tiny", "--filter", "1x256x256 f32", "--json", "k.json", ...onSwiftShader];
    const { code, stderr } = await run("mask-llava-bench", "kernels", ...flags);
    expect(code, stderr).toBe(0);
    const { conditions } = JSON.parse(readFileSync(join(folder, "work", "k.json"), "utf8"));
    const head = execFileSync("git", ["rev-parse", "--short=12", "HEAD"], { cwd: root, encoding: "utf8" });
    expect(conditions.commit).toContain(head.trim());
  });

  test("what was left out is named where it is missed", async () => {
    rmSync(join(unpacked, "app", "checkpoint"), { recursive: true });
    expect(await run("mask-llava", "ask")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("no checkpoint is embedded"),
    });
    rmSync(join(unpacked, "app", "node_modules", "@sparticuz"), { recursive: true });
    const { code, stdout } = await run("mask-llava", "doctor", "--json", "--adapter", "software");
    if (code === 0) expect(JSON.parse(stdout).adapter.origin).toBe("system");
    else expect(JSON.parse(stdout).problem).toContain("no software adapter is embedded");
  });
});

test.each([
  [["--compress"], /Unknown option '--compress'/],
  [["--out"], /--out.*missing/],
  [["--out", ""], /--out is empty/],
  [["surplus"], /Unexpected argument 'surplus'/],
])("%j is not understood: exit code 2", async (args, message) => {
  const { code, stdout, stderr } = await runNode([script, ...args]);
  expect(stderr).toMatch(message);
  expect(stdout).toBe("");
  expect(code).toBe(2);
});

test.skipIf(!glibc)("a folder that is there is not overwritten", async () => {
  const { code, stderr } = await runNode([script, "--unpacked", "--out", root]);
  expect(stderr).toContain("is there already");
  expect(code).toBe(1);
});
