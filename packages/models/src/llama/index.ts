export * from "./config.ts";
export * from "./kv-cache.ts";
export * from "./names.ts";
export * from "./network.ts";
export * from "./rope-table.ts";
