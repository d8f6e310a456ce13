export type { BatchControls, BatchedGeneration, BatchedGenerations } from "./batch-generator.ts";
export { BatchedContinuation } from "./batched-continuation.ts";
export type { PromptFamily } from "./prompt-families.ts";
