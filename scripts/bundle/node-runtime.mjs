import { existsSync, readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { BundleError } from "./errors.mjs";

/** Node needs these beside glibc, and hosts with nothing but glibc lack them. */
const compilerLibraries = ["libstdc++.so.6", "libgcc_s.so.1"];

/** Throws a BundleError where the Node that runs this could not be taken to another x86-64 Linux host. */
export function checkNode() {
  const { platform, arch, config, execPath, report } = process;
  const glibc = platform === "linux" && report.getReport().header.glibcVersionRuntime;
  if (platform !== "linux" || arch !== "x64" || !glibc) {
    const found = `${platform}-${arch}${platform === "linux" && !glibc ? " without glibc" : ""}`;
    throw new BundleError(
      `the archive takes the Node that builds it along, so it is built on linux-x64 with glibc, not on ${found}`,
    );
  }
  const shared = Object.entries(config.variables).filter(
    ([name, value]) => /^node_shared(_|$)/.test(name) && String(value) === "true",
  );
  if (shared.length > 0) {
    throw new BundleError(
      `${execPath} needs libraries of this machine (built with ${shared.map(([name]) => name).join(", ")}): ` +
        "build the archive with a Node from nodejs.org or NodeSource",
    );
  }
}

/** The files of Node: its program, and the C++ libraries for hosts that have none or older ones. */
export function nodeFiles() {
  const loaded = process.report.getReport().sharedObjects;
  const libraries = compilerLibraries.map((name) => {
    const path = loaded.find((each) => basename(each) === name);
    if (path === undefined)
      throw new BundleError(`${process.execPath} has not loaded ${name}, which it was built for`);
    return { path: realpathSync(path), name };
  });
  return { program: process.execPath, libraries };
}

/** The text of Node's licence, with those of what is in it, where its distribution put it; undefined where it did not. */
export function nodeLicense() {
  const prefix = join(dirname(process.execPath), "..");
  const places = [
    join(prefix, "LICENSE"),
    join(prefix, "share/doc/nodejs/LICENSE"),
    join(prefix, "share/doc/nodejs/copyright"),
  ];
  const path = places.find((place) => existsSync(place) && /Node\.js/.test(readFileSync(place, "utf8")));
  return path && readFileSync(path, "utf8");
}
