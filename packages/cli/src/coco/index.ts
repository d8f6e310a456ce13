export * from "./document.ts";
export * from "./rle.ts";
