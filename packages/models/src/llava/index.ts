export * from "./config.ts";
export * from "./llava.ts";
export * from "./names.ts";
export * from "./network.ts";
export { expandPrompt, imageMark, picturePrompt, picturePrompts } from "./prompt.ts";
export * from "./splice.ts";
