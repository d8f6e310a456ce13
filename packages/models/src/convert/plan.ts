import { type DType, dataBytes, isQuantized } from "@mask-llava/runtime";
import {
  CheckpointError,
  ConfigError,
  type Folder,
  fileBytes,
  type StoredDType,
  type StoredTensor,
  TensorIndex,
  type WeightDType,
} from "../checkpoint/index.ts";
import { blueprintOf } from "../inspect/blueprint.ts";
import { dryBuild } from "../inspect/checkpoint-report.ts";
import { identifyModel, type ModelKind } from "../inspect/model-kind.ts";

/** Types that checkpoints are converted to. */
export const convertDTypes = ["f16", "q8", "q4"] as const satisfies readonly WeightDType[];
export type ConvertDType = (typeof convertDTypes)[number];

/** One weight of a checkpoint that is converted. */
export interface ConvertedTensor {
  /** As the network asks for it, and as the new checkpoint has it. */
  readonly name: string;
  readonly stored: StoredTensor;
  /** What the network would hold it in, which the new checkpoint holds. */
  readonly target: DType;
  /** The file's bytes are kept: f32 is wanted of elements that f32 holds exactly. */
  readonly kept: StoredDType | undefined;
}

export interface ConversionPlan extends AsyncDisposable {
  readonly kind: ModelKind;
  /** config.json as it is. */
  readonly config: object;
  /** In the order of the files. */
  readonly tensors: readonly ConvertedTensor[];
}

/** Networks with weights that are quantised. */
const quantizable: readonly ModelKind[] = ["llama", "llava"];

/**
 * What a checkpoint becomes as `dtype`: what loading it as that would put on the GPU, so that the new one loads to the same.
 * The caller disposes it, which closes the files.
 * @throws ConfigError, CheckpointError where it could not be loaded
 */
export async function planConversion(folder: Folder, dtype: ConvertDType): Promise<ConversionPlan> {
  const { kind, config, modelType } = await identifyModel(folder);
  if (!kind || (dtype !== "f16" && !quantizable.includes(kind))) {
    throw new ConfigError("config.json", "model_type", `${folder.name} cannot be converted to ${dtype}`, {
      found: JSON.stringify(modelType),
      expected: kind ? `${quantizable.join(" or ")}, or f16` : "a model that is supported",
    });
  }
  const blueprint = blueprintOf(kind, config);
  const index = await TensorIndex.open(folder, { rename: blueprint.names });
  try {
    const dry = dryBuild(blueprint, index, dtype);
    const [problem] = dry.problems;
    if (problem !== undefined) throw new CheckpointError(problem, { file: folder.name });
    const left = [...index.tensors].find(
      ([name]) => !dry.taken.has(name) && !blueprint.ignored.some((pattern) => pattern.test(name)),
    );
    if (left) {
      throw new CheckpointError("is not one of the network's", { file: folder.name, tensor: left[1].name });
    }
    const tensors = [...dry.targets].map(([name, target]): ConvertedTensor => {
      const stored = index.tensors.get(name) as StoredTensor;
      const exact = stored.dtype === "F32" || stored.dtype === "F16" || stored.dtype === "BF16";
      const kept = target === "f32" && exact && !stored.headRows ? (stored.dtype as StoredDType) : undefined;
      return { name, stored, target, kept };
    });
    return {
      kind,
      config: config as object,
      tensors,
      [Symbol.asyncDispose]: () => index.close(),
    };
  } catch (error) {
    await index.close();
    throw error;
  }
}

/** Bytes of a weight in the new checkpoint. */
export function convertedBytes({ stored, target, kept }: ConvertedTensor): number {
  return kept ? fileBytes(stored) : dataBytes({ shape: stored.shape, dtype: target });
}

export function isQuantizedTensor({ target }: ConvertedTensor): boolean {
  return isQuantized(target);
}
