export * from "./checkpoint-report.ts";
export * from "./model-kind.ts";
