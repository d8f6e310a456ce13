export { backboneConfigSchema, type ResNetStructure } from "./backbone-config.ts";
export { type PaddedBatch, padBatch } from "./batch.ts";
export { type DeformableDetrConfig, deformableDetrConfigSchema } from "./config.ts";
export {
  DeformableDetr,
  type Detection,
  type DetrOptions,
  type DetrOutput,
  type HostStates,
  rawDetections,
} from "./deformable-detr.ts";
export { noProposal } from "./geometry.ts";
export { DetrInputs, type InputShape } from "./inputs.ts";
export { deformableDetrIgnored, deformableDetrNames } from "./names.ts";
export { DeformableDetrNetwork, type DetrStates } from "./network.ts";
export {
  boxArea,
  boxIou,
  type DetectedObject,
  detectObjects,
  nonMaximumSuppression,
  type ObjectOptions,
} from "./objects.ts";
export { type Detections, type PostProcessOptions, postProcess, type RawDetections } from "./post-process.ts";
