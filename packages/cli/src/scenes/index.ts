export * from "./dataset.ts";
export * from "./format.ts";
export * from "./scene.ts";
