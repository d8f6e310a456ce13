export * from "./config.ts";
export * from "./encoder.ts";
export * from "./model.ts";
export * from "./names.ts";
export * from "./text.ts";
export * from "./vision.ts";
export * from "./vision-model.ts";
