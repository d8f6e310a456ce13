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
  type TensorFiles,
} from "./folder.ts";
export {
  planeTensors,
  type QuantizedEntry,
  quantizationConfig,
  quantizationSchema,
  quantizedKey,
} from "./quantized-tensors.ts";
export { RandomWeights } from "./random-weights.ts";
export { readSafetensors, type SafetensorsHeader } from "./safetensors.ts";
export {
  fileBytes,
  isStoredQuantized,
  type StoredDType,
  type StoredTensor,
  type StoredType,
  storedBytes,
} from "./stored-tensor.ts";
export { type RenameRule, rename, TensorIndex } from "./tensor-index.ts";
export { type UploadOptions, upload } from "./upload.ts";
export { uploadDevice } from "./upload-device.ts";
export {
  type FloatDType,
  floatDType,
  type LoadDType,
  type WeightDType,
  type WeightRole,
  weightDTypes,
  weightTarget,
} from "./weight-dtype.ts";
export { type Derivation, type TakeOptions, type WeightStore, Weights } from "./weights.ts";
export {
  encodeSafetensors,
  type HostTensorData,
  layoutSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from "./write-safetensors.ts";
