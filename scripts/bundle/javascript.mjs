import { join, relative } from "node:path";
import { rolldown } from "rolldown";
import { BundleError } from "./errors.mjs";

/** Packages that are found at run time where they are there and told about where they are not. */
const optional = ["onnxruntime-node"];

/**
 * Our programs and the JavaScript of everything they import, in a few files that lie in one folder, so that what they open
 * relative to themselves (`../package.json`, `../assets`, `../checkpoint`) is where it is in the package `mask-llava`.
 *
 * `entries`: a source by each program's name. `external`: packages that are not taken in. Returns the files' names and texts,
 * and the folders of the packages that are in them.
 */
export async function bundleJavaScript(root, entries, external, commit) {
  const complaints = [];
  const build = await rolldown({
    cwd: root,
    input: entries,
    platform: "node",
    external: [...external, ...optional],
    transform: { define: { "process.env.MASK_LLAVA_COMMIT": JSON.stringify(commit ?? "") } },
    onLog: (level, { code, message }) => {
      if (level === "warn") complaints.push(`${code ?? "warning"}: ${message}`);
    },
  });
  try {
    const { output } = await build.generate({
      format: "esm",
      entryFileNames: "[name].js",
      chunkFileNames: "[name]-[hash].js",
    });
    const other = output.find(({ type }) => type !== "chunk");
    if (other) complaints.push(`${other.fileName} is no JavaScript`);
    if (complaints.length > 0) throw new BundleError(`bundling failed:\n  ${complaints.join("\n  ")}`);
    const modules = output.flatMap(({ moduleIds }) => moduleIds);
    return {
      files: output.map(({ fileName, code }) => ({ name: fileName, text: code })),
      packages: [
        ...new Set(modules.map((id) => packageOf(root, id)).filter((folder) => folder !== undefined)),
      ].sort(),
    };
  } finally {
    await build.close();
  }
}

/** The folder of the installed package that a module is of; undefined for our own. */
function packageOf(root, id) {
  const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(relative(root, id));
  return match ? join(root, match[1]) : undefined;
}
