export * from "./attention/index.ts";
export * from "./binary/index.ts";
export * from "./conv2d/index.ts";
export * from "./layer-norm/index.ts";
export * from "./matmul/index.ts";
export * from "./random-uniform/index.ts";
export * from "./rms-norm/index.ts";
export * from "./unary/index.ts";
