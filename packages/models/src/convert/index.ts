export * from "./plan.ts";
export * from "./read-converted.ts";
export * from "./shards.ts";
