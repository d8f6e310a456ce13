export type { Analysis, AnalysisTimings } from "./analysis.ts";
export { type BudgetOptions, coarserGrids, type Offer, planComposition, raggedLayout } from "./budget.ts";
export { type ComposedTokens, compose, type TokenSources } from "./compose.ts";
export { type DropPolicy, dropPolicies, rankObjects } from "./drop.ts";
export { ComposeError } from "./errors.ts";
export type { HostRows, HostValues } from "./host-rows.ts";
export type { InversionFit } from "./inversion-fit.ts";
export * from "./mask-llava.ts";
export {
  backgroundMask,
  boxMask,
  type Distinctness,
  distinctMasks,
  type Mask,
  maskArea,
  maskIou,
  patchCoverage,
} from "./masks.ts";
export type { FoundObject, GivenObjects } from "./objects.ts";
export { type CheckpointParts, findParts } from "./parts.ts";
export { poolingMatrix } from "./pool.ts";
export { Projector } from "./projector.ts";
export { type MaskLlavaSettings, maskLlavaSchema, parseSettings, settingsFile } from "./settings.ts";
export * from "./visual-tokens.ts";
