import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { BundleError } from "./errors.mjs";

/** What of a package nothing reads at run time. */
const idle = /\.(d\.[cm]?ts|map|md|cc|h|gyp)$|^(src|install|docs)\//i;
const isLicense = /^(licen[cs]e|copying|notice|license_font)(\.\w+)?$/i;

/** What is taken of packages of which little is needed, by path in them; of others, all but the idle files. */
const needed = {
  webgpu: /^(index\.js|dist\/linux-x64\/dawn\.node)$/,
  "@huggingface/jinja": /^dist\/index\.c?js$/,
  "@expo-google-fonts/inter": /^(500Medium|700Bold)\/[^/]+\.ttf$/,
  // SwiftShader. The package also has a browser, which is not taken; its entry is there to be found, not to be run.
  "@sparticuz/chromium": /^(bin\/swiftshader\.tar\.br|build\/cjs\/index\.cjs)$/,
  lodash: /^lodash\.js$/,
  platform: /^platform\.js$/,
};

/**
 * Packages that stay packages in the archive: they have native code, or are found by their names at run time. `from`: who
 * depends on it. `dependencies`: whether it imports others.
 */
const kept = [
  { name: "webgpu", from: "packages/runtime", part: "Dawn" },
  { name: "sharp", from: "packages/models", part: "image decoding", dependencies: true },
  { name: "@huggingface/jinja", from: "packages/models", part: "JavaScript" },
  { name: "@resvg/resvg-js", from: "packages/cli", part: "drawing", dependencies: true },
  { name: "@expo-google-fonts/inter", from: "packages/cli", part: "drawing" },
  { name: "benchmark", from: "bench", part: "JavaScript", dependencies: true },
];
const softwareAdapter = { name: "@sparticuz/chromium", from: "packages/runtime", part: "software adapter" };

/** The names of those that our code imports. */
export const keptNames = [...kept, softwareAdapter].map(({ name }) => name);

/** Installed packages, each with its folder, its manifest and the paths of the files that the archive takes. */
export function keptPackages(root, options) {
  const found = new Map();
  const taken = (name, path) =>
    path === "package.json" ||
    isLicense.test(path) ||
    (needed[name] ? needed[name].test(path) : !idle.test(path));
  const take = ({ name, from, part, dependencies }) => {
    const folder = findPackage(name, join(root, from), root);
    const known = found.get(name);
    if (known?.folder === folder) return;
    if (known) throw new BundleError(`two versions of ${name} are needed: ${known.folder} and ${folder}`);
    const manifest = readManifest(folder);
    const paths = listFiles(folder)
      .filter((path) => taken(name, path))
      .sort();
    found.set(name, { name, folder, part, manifest, paths });
    if (!dependencies) return;
    for (const dependency of runtimeDependencies(manifest, folder, root)) {
      take({ name: dependency, from: relative(root, folder), part, dependencies });
    }
  };
  for (const each of options.softwareAdapter ? [...kept, softwareAdapter] : kept) take(each);
  return [...found.values()];
}

/** Its dependencies, with the optional ones that are built for x86-64 Linux with glibc. */
function runtimeDependencies({ dependencies = {}, optionalDependencies = {} }, folder, root) {
  const built = Object.keys(optionalDependencies).filter((name) => {
    const place = locate(name, folder, root);
    if (place === undefined) return false;
    const { os = ["linux"], cpu = ["x64"], libc = ["glibc"] } = readManifest(place);
    return [os].flat().includes("linux") && [cpu].flat().includes("x64") && [libc].flat().includes("glibc");
  });
  if (Object.keys(optionalDependencies).some((name) => name.includes("linux-x64")) && built.length === 0) {
    throw new BundleError(`the build of ${folder} for linux-x64 is not installed: run npm ci`);
  }
  return [...Object.keys(dependencies), ...built];
}

function findPackage(name, from, root) {
  const folder = locate(name, from, root);
  if (folder === undefined) throw new BundleError(`the npm package ${name} is not installed: run npm ci`);
  return folder;
}

/** As Node looks for it: in the folders `node_modules` from `from` upwards, up to the repository's. */
function locate(name, from, root) {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
    if (relative(root, folder) === "" || folder === dirname(folder)) return undefined;
  }
}

export function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

/** The texts of a package's licence files, or where it has none, of its README. */
export function licenseTexts(folder) {
  const names = readdirSync(folder).sort();
  const licenses = names.filter((name) => isLicense.test(name));
  const found = licenses.length > 0 ? licenses : names.filter((name) => name === "README.md");
  return found.map((name) => readFileSync(join(folder, name), "utf8").trim());
}

/** Paths of all files below `folder`, relative to it, without those of packages nested in it. */
export function listFiles(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .filter((path) => !path.startsWith("node_modules/"));
}
