export * from "./activations.ts";
export * from "./copy-bytes.ts";
export * from "./layer-norm.ts";
export * from "./linear.ts";
export * from "./normalize.ts";
export * from "./pixel-program.ts";
export * from "./transformer-block.ts";
export * from "./turns.ts";
