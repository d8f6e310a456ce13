import { licenseTexts, readManifest } from "./packages.mjs";

/** What is inside of packages besides what their licence files tell. */
const inside = {
  webgpu: "dist/linux-x64/dawn.node is Dawn (BSD-3-Clause, https://dawn.googlesource.com/dawn).",
  "@img/sharp-libvips-linux-x64":
    "lib/libvips-cpp.so is libvips (LGPL-2.1-or-later) with the libraries that are listed below. It is a shared library that may be replaced by another build of the same version; sources and build scripts: https://github.com/lovell/sharp-libvips.",
  "@resvg/resvg-js":
    "resvg and the library of this package are under the MPL-2.0; sources: https://github.com/yisibl/resvg-js.",
  "@sparticuz/chromium":
    "bin/swiftshader.tar.br is SwiftShader (Apache-2.0, https://swiftshader.googlesource.com/SwiftShader) with the Khronos Vulkan loader (Apache-2.0, https://github.com/KhronosGroup/Vulkan-Loader).",
};

const compilerLibraries = `libstdc++ and libgcc_s (lib/gcc)
GPL-3.0-or-later WITH GCC-exception-3.1; shared libraries of GCC as the building system has them; sources: https://gcc.gnu.org.`;

/**
 * The text of the file that names everything in the archive that others have made. `folders`: of the npm packages in it.
 * `nodeText`: Node's licence; without it, the place where it is found.
 */
export function notices(folders, nodeText) {
  const { version } = process;
  const node = `Node.js ${version} (lib/node)
${nodeText?.trim() ?? `MIT, with libraries under their own licences: https://github.com/nodejs/node/blob/${version}/LICENSE`}`;
  const packages = folders.map((folder) => {
    const { name, version, license = "see below" } = readManifest(folder);
    return [
      `${name} ${version} (${license})`,
      ...(inside[name] ? [inside[name]] : []),
      ...licenseTexts(folder),
    ].join("\n\n");
  });
  const rule = `\n\n${"=".repeat(80)}\n\n`;
  return `${["What this archive contains of others' work, and under which terms.", node, compilerLibraries, ...packages].join(rule)}\n`;
}
