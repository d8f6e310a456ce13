/**
 * Makes a fresh clone ready to run: dependencies, then the build. Plain Node without dependencies, as it runs before
 * there are any. Does nothing, quietly, where nothing is to be done. Everything it says goes to stderr, since stdout
 * belongs to the command that runs afterwards.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withLock } from "./lock.mjs";

export const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
const installStamp = join(modules, ".mask-llava-install");
const oldestNode = 20;

/** Something that the user can put right; its message says how. */
export class BootstrapError extends Error {}

/**
 * What a script needs: the program alone, or with benchmarks and tests, whose dependencies are as large again (another
 * inference engine to compare with).
 */
const scopes = {
  program: {
    workspaces: ["packages/runtime", "packages/models", "packages/composer", "packages/cli"],
    targets: ["mask-llava..."],
    main: join(root, "packages", "cli", "dist", "main.js"),
  },
  all: {
    workspaces: [],
    targets: ["mask-llava...", "@mask-llava/bench"],
    main: join(root, "bench", "dist", "main.js"),
  },
};

/** Scopes that hold all that `scope` does. */
const covering = (scope) => (scope === "all" ? ["all"] : ["program", "all"]);

/** Installs and builds what of `scope` is missing or older than its sources. */
export async function bootstrap(scope = "all") {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < oldestNode) {
    throw new BootstrapError(`Node ${oldestNode} or newer is needed, this is ${process.version}`);
  }
  await withLock(join(root, ".cache", "bootstrap.lock"), () => {
    if (!installed(scope)) install(scope);
    if (!covering(scope).some(built)) build(scope);
  });
}

/** For the scripts that start with it: runs `main` after the bootstrap, and reports what can be put right. */
export async function runAfterBootstrap(main, scope = "all") {
  try {
    await bootstrap(scope);
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error;
    console.error(`mask-llava: ${error.message}`);
    process.exitCode = 1;
    return false;
  }
  await main();
  return true;
}

function lockDigest() {
  return createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
}

/** By our stamp, or because the user has run npm since the lock file changed. */
function installed(scope) {
  const hidden = join(modules, ".package-lock.json");
  if (!existsSync(hidden)) return false;
  if (existsSync(installStamp)) {
    const [what, digest] = readFileSync(installStamp, "utf8").split(" ");
    return covering(scope).includes(what) && digest === lockDigest();
  }
  return statSync(hidden).mtimeMs >= statSync(join(root, "package-lock.json")).mtimeMs;
}

function install(scope) {
  console.error("mask-llava: installing dependencies (npm ci) ...");
  const { workspaces } = scopes[scope];
  const parts =
    workspaces.length > 0 ? ["--include-workspace-root", ...workspaces.flatMap((w) => ["-w", w])] : [];
  const status = npm(["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error", ...parts]);
  if (status !== 0) {
    throw new BootstrapError(
      "the dependencies could not be installed: npm ci failed (see above). The first run needs the npm registry " +
        "(npm config get registry) or a filled npm cache; behind a proxy, set HTTPS_PROXY",
    );
  }
  writeFileSync(installStamp, `${scope} ${lockDigest()}`);
}

function npm(args) {
  // npm tells the scripts that it runs where it is, which also works where it is not on the PATH.
  const own = process.env.npm_execpath;
  const viaNode = own !== undefined && /npm-cli\.c?js$/.test(own);
  const options = { cwd: root, stdio: ["ignore", 2, 2], shell: !viaNode && process.platform === "win32" };
  return spawnSync(viaNode ? process.execPath : "npm", viaNode ? [own, ...args] : args, options).status;
}

const buildStamp = (scope) => join(modules, `.mask-llava-build-${scope}`);

function built(scope) {
  const { main } = scopes[scope];
  if (![buildStamp(scope), main].every((path) => existsSync(path))) return false;
  const stamp = statSync(buildStamp(scope)).mtimeMs;
  const packages = join(root, "packages");
  const bench = scope === "all" ? [join(root, "bench")] : [];
  const folders = [...readdirSync(packages).map((name) => join(packages, name)), ...bench];
  const sources = folders.flatMap((folder) =>
    ["src", "package.json", "tsconfig.json"].map((part) => join(folder, part)),
  );
  const shared = ["tsconfig.base.json", "turbo.json", "package-lock.json"].map((name) => join(root, name));
  return [...sources, ...shared].every((path) => newest(path) <= stamp);
}

/** The latest change at or below `path`, in milliseconds; folders count too, as they change when a file is removed. */
function newest(path) {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), stat.mtimeMs);
}

function build(scope) {
  console.error("mask-llava: building ...");
  const started = new Date();
  const turbo = join(modules, ".bin", process.platform === "win32" ? "turbo.cmd" : "turbo");
  const { status, stdout, stderr } = spawnSync(
    turbo,
    [
      "run",
      "build",
      ...scopes[scope].targets.map((target) => `--filter=${target}`),
      "--output-logs=errors-only",
      "--log-order=grouped",
    ],
    { cwd: root, encoding: "utf8", env: buildEnvironment(), shell: process.platform === "win32" },
  );
  if (status !== 0) {
    process.stderr.write(`${stdout ?? ""}${stderr ?? ""}`);
    throw new BootstrapError("the build failed (see above)");
  }
  mkdirSync(modules, { recursive: true });
  // Sources that changed during the build are newer than its start, and so built again.
  const stamp = buildStamp(scope);
  writeFileSync(stamp, started.toISOString());
  utimesSync(stamp, started, started);
}

function buildEnvironment() {
  return {
    ...process.env,
    TURBO_TELEMETRY_DISABLED: "1",
    DO_NOT_TRACK: "1",
    TURBO_NO_UPDATE_NOTIFIER: "1",
    TURBO_UI: "false",
  };
}
