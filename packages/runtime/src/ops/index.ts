export * from "./binary/index.ts";
export * from "./matmul/index.ts";
