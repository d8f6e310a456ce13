export {
  type ByteSource,
  checkRange,
  type Fetch,
  HttpSource,
  MemorySource,
} from "./byte-source.ts";
export { Checkpoint, type CheckpointOptions, weightBytes } from "./checkpoint.ts";
export { parseConfig } from "./config.ts";
export { CheckpointError, type CheckpointIssue, ConfigError } from "./errors.ts";
export {
  checkFileName,
  type Folder,
  HttpFolder,
  MemoryFolder,
  readJson,
  readText,
  requireJson,
} from "./folder.ts";
export { RandomWeights } from "./random-weights.ts";
export {
  readSafetensors,
  type SafetensorsHeader,
  type StoredDType,
  type StoredTensor,
  storedBytes,
} from "./safetensors.ts";
export { type RenameRule, rename, TensorIndex } from "./tensor-index.ts";
export type { UploadOptions } from "./upload.ts";
export {
  type FloatDType,
  floatDType,
  type WeightDType,
  type WeightRole,
  weightDTypes,
  weightTarget,
} from "./weight-dtype.ts";
export { type Derivation, type TakeOptions, type WeightStore, Weights } from "./weights.ts";
export { encodeSafetensors, type HostTensorData, writeSafetensors } from "./write-safetensors.ts";
