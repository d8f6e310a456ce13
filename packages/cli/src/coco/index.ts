export * from "./document.ts";
export * from "./read.ts";
export * from "./rle.ts";
