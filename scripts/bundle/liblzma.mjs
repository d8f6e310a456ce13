import { BundleError } from "./errors.mjs";

/**
 * The package `node-liblzma`. It is optional, so that machines for which it has no build, and which cannot make an archive anyway,
 * can install the project.
 */
export async function liblzma() {
  try {
    return await import("node-liblzma");
  } catch (error) {
    throw new BundleError(
      `the npm package node-liblzma, which compresses the archive, cannot be loaded (${error.message}): run npm ci, or give --unpacked`,
    );
  }
}
