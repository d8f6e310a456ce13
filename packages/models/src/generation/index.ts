export * from "./batch/index.ts";
export * from "./errors.ts";
export * from "./generate.ts";
export * from "./language-model.ts";
export * from "./text-stream.ts";
