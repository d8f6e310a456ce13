export * from "./config.ts";
export * from "./names.ts";
export * from "./network.ts";
export * from "./splice.ts";
