export * from "./config.ts";
export * from "./llava.ts";
export * from "./names.ts";
export * from "./network.ts";
export { expandPrompt } from "./prompt.ts";
export * from "./splice.ts";
