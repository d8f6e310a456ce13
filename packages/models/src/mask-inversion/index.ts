export * from "./explain.ts";
export * from "./gradient.ts";
export * from "./invert.ts";
export * from "./linearize.ts";
export * from "./mask-inversion.ts";
export * from "./merged-weights.ts";
export * from "./settings.ts";
