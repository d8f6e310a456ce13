export * from "./checkpoint/index.ts";
export * from "./text/index.ts";
