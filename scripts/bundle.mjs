#!/usr/bin/env node
/**
 * `npm run bundle`: makes the project ready and writes one archive that runs `mask-llava` and the benchmarks on a bare x86-64
 * Linux host without a network; scripts/bundle/contents.mjs says what is in it. Exit codes: 0, 1 (failed), 2 (usage).
 */
import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root, runAfterBootstrap } from "./bootstrap.mjs";
import { BundleError } from "./bundle/errors.mjs";
import { formatMebibytes, formatParts, sumParts } from "./bundle/report.mjs";

/** How large the archive may be, in MiB. */
const limit = 55;

const help = `Usage: npm run bundle -- [options]

Writes an archive with Node, Dawn, the programs, the embedded checkpoint and the software adapter for x86-64 Linux.

Options:
  --out PATH              where it goes (default: dist-bundle/mask-llava-VERSION-linux-x64.tar.xz in the repository)
  --no-checkpoint         leave the embedded checkpoint out
  --no-software-adapter   leave SwiftShader out: hosts then need a Vulkan driver
  --unpacked              write a folder instead, which takes seconds where compressing takes minutes
  -h, --help              say this

It is compressed with xz, and unpacked with \`tar -xf\`. One above ${limit} MiB is an error.
`;

const options = {
  out: { type: "string" },
  "no-checkpoint": { type: "boolean", default: false },
  "no-software-adapter": { type: "boolean", default: false },
  unpacked: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
};

const flags = readFlags();
if (flags?.help) process.stdout.write(help);
else if (flags) await runAfterBootstrap(() => bundle(flags).catch(complain));

/** The flags; undefined, with exit code 2, where they are not understood. */
function readFlags() {
  try {
    const { values } = parseArgs({ options });
    if (values.out === "") throw new Error("--out is empty, expected a path");
    return values;
  } catch (error) {
    console.error(`mask-llava: ${error.message}\n(npm run bundle -- --help tells what can be said)`);
    process.exitCode = 2;
    return undefined;
  }
}

function complain(error) {
  if (!(error instanceof BundleError) && error.syscall === undefined) throw error;
  console.error(`mask-llava: ${error.message}`);
  process.exitCode = 1;
}

async function bundle(flags) {
  // These need the dependencies that the bootstrap installs.
  const { writeArchive, writeFolder } = await import("./bundle/archive.mjs");
  const { contents } = await import("./bundle/contents.mjs");
  const { checkNode } = await import("./bundle/node-runtime.mjs");
  const { readManifest } = await import("./bundle/packages.mjs");
  checkNode();
  const name = `mask-llava-${readManifest(join(root, "packages", "cli")).version}-linux-x64`;
  const out = outputPath(flags, name);
  const { commit, date } = head();
  const entries = await contents(root, {
    checkpoint: !flags["no-checkpoint"],
    softwareAdapter: !flags["no-software-adapter"],
    commit,
  });
  const rows = sumParts(entries);
  const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
  if (flags.unpacked) {
    await writeFolder(out, entries);
    console.log(`${formatParts(rows)}${shown(out)}: ${formatMebibytes(bytes)}`);
    return;
  }
  console.error(`mask-llava: compressing ${formatMebibytes(bytes)}, which takes minutes ...`);
  const size = await writeArchive(out, name, entries, {
    modified: date,
    onEntry: ({ part }, packed) => {
      rows.find((row) => row.part === part).packed += packed;
    },
    check: (size) => {
      process.stdout.write(formatParts(rows));
      if (size <= limit * 2 ** 20) return;
      throw new BundleError(
        `the archive has ${formatMebibytes(size)}, more than ${limit} MiB: leave something out (--no-software-adapter, --no-checkpoint)`,
      );
    },
  });
  console.log(`${shown(out)}: ${formatMebibytes(size)}`);
}

/** The absolute path to write to. A file there is replaced, a folder is not. */
function outputPath({ out, unpacked }, name) {
  const started = process.env.npm_lifecycle_event ? process.env.INIT_CWD : undefined;
  const path = out
    ? resolve(started ?? ".", out)
    : join(root, "dist-bundle", unpacked ? name : `${name}.tar.xz`);
  if (existsSync(path) && (unpacked || statSync(path).isDirectory())) {
    throw new BundleError(`${path} is there already: remove it, or give another --out`);
  }
  return path;
}

function shown(path) {
  const short = relative(".", path);
  return short.startsWith("..") ? path : short;
}

/** The commit of the sources, `<hash>` or `<hash>+changes`, and its date; undefined and the epoch outside of a repository. */
function head() {
  const git = (...args) =>
    execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    const [hash, seconds] = git("log", "-1", "--abbrev=12", "--format=%h %ct").split(" ");
    const changes = git("status", "--porcelain", "--untracked-files=no");
    return { commit: changes ? `${hash}+changes` : hash, date: new Date(Number(seconds) * 1000) };
  } catch {
    return { commit: undefined, date: new Date(0) };
  }
}
