/** Something that whoever builds the archive can put right; its message says how. */
export class BundleError extends Error {}
