import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Elf, newestMinor } from "./elf.mjs";
import { BundleError } from "./errors.mjs";
import { bundleJavaScript } from "./javascript.mjs";
import { launcher } from "./launcher.mjs";
import { nodeFiles, nodeLicense } from "./node-runtime.mjs";
import { notices } from "./notices.mjs";
import { keptNames, keptPackages, listFiles, readManifest } from "./packages.mjs";
import { readme } from "./readme.mjs";

/**
 * Everything that goes into the archive, as `{ path, part, data, mode }`. Below `app` it is the package `mask-llava` as npm would
 * install it, with the programs bundled, so that everything finds its files as it does there:
 *
 *     bin/mask-llava  bin/mask-llava-bench     what is started
 *     lib/node  lib/gcc/                       Node, and the C++ libraries for hosts without them
 *     app/bin  app/dist  app/assets  app/checkpoint  app/node_modules
 *
 * `options`: `checkpoint` and `softwareAdapter`, whether they are taken in; `commit`, of the sources.
 */
export async function contents(root, { checkpoint, softwareAdapter, commit }) {
  const cli = join(root, "packages", "cli");
  const manifest = readManifest(cli);
  const packages = keptPackages(root, { softwareAdapter });
  const javaScript = await bundleJavaScript(
    root,
    {
      launch: join(cli, "dist", "launch.js"),
      main: join(cli, "dist", "main.js"),
      bench: join(root, "bench", "dist", "main.js"),
    },
    keptNames,
    commit,
  );
  const app = [
    text("app/package.json", "JavaScript", packageJson(manifest)),
    file("app/bin/mask-llava.mjs", "JavaScript", join(cli, "bin", "mask-llava.mjs")),
    ...javaScript.files.map(({ name, text: code }) => text(`app/dist/${name}`, "JavaScript", code)),
    ...folder("app/assets", "pictures", join(cli, "assets")),
    ...(checkpoint ? folder("app/checkpoint", "checkpoint", checkpointFolder(cli)) : []),
    ...packages.flatMap(({ name, folder: from, part, paths }) =>
      paths.map((path) => file(`app/node_modules/${name}/${path}`, part, join(from, path))),
    ),
  ];
  const node = nodeFiles();
  const runtime = [
    file("lib/node", "Node", node.program, 0o755),
    ...node.libraries.map(({ name, path }) => file(`lib/gcc/${name}`, "C++ libraries", path)),
  ];
  const needs = requirements([...runtime, ...app]);
  return [
    text("bin/mask-llava", "JavaScript", launcher("app/bin/mask-llava.mjs", needs.libstdcxx), 0o755),
    text("bin/mask-llava-bench", "JavaScript", launcher("app/dist/bench.js", needs.libstdcxx), 0o755),
    text("README.md", "texts", readme(manifest.version, { ...needs, checkpoint, softwareAdapter, commit })),
    file("CONTAINERS.md", "texts", join(root, "docs", "containers.md")),
    file("LICENSE", "texts", join(root, "LICENSE")),
    text(
      "THIRD-PARTY-NOTICES.txt",
      "texts",
      notices([...javaScript.packages, ...packages.map((each) => each.folder)], nodeLicense()),
    ),
    ...app,
    ...runtime,
  ];
}

/** What of its `package.json` the program reads or Node needs. */
function packageJson({ name, version, license, type }) {
  return `${JSON.stringify({ name, version, license, private: true, type }, null, 2)}\n`;
}

function checkpointFolder(cli) {
  const path = join(cli, "checkpoint");
  if (existsSync(join(path, "mask_llava.json"))) return path;
  throw new BundleError(`there is no checkpoint in ${path}: --no-checkpoint makes the archive without one`);
}

/** The oldest glibc, as the minor of 2.N, and libstdc++, as the N of libstdc++.so.6.0.N, with which all of it runs. */
function requirements(entries) {
  const versions = (among) =>
    among
      .filter(({ data }) => Elf.is(data))
      .flatMap(({ path, data }) => new Elf(data, path).neededVersions());
  const all = versions(entries);
  const own = versions(entries.filter(({ part }) => part !== "C++ libraries"));
  return {
    glibc: newestMinor(own, "GLIBC_2"),
    libstdcxx: newestMinor(own, "GLIBCXX_3.4"),
    /** With the C++ libraries of the archive, where the host has none. */
    glibcOfLibraries: newestMinor(all, "GLIBC_2"),
  };
}

function text(path, part, content, mode = 0o644) {
  return { path, part, mode, data: Buffer.from(content) };
}

function file(path, part, from, mode = 0o644) {
  const data = readFileSync(from);
  return { path, part, mode, data: Elf.is(data) ? nativeFile(data, from) : data };
}

/**
 * A program or library without what only debuggers read. Dawn needs one function in the version of GCC 12, whose only news is that
 * it throws nothing; in the older one, Dawn runs with the libstdc++ of GCC 11 too, which RHEL 9 and Amazon Linux 2023 have.
 */
function nativeFile(data, name) {
  const wait = "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE";
  const older = new Elf(data, name).withOlderSymbol(wait, "GLIBCXX_3.4.30", "GLIBCXX_3.4.11");
  return new Elf(older, name).withoutSections();
}

function folder(path, part, from) {
  return listFiles(from)
    .sort()
    .map((name) => file(`${path}/${name}`, part, join(from, name)));
}
