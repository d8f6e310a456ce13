/**
 * Quantised weights in safetensors files, as `mask-llava convert` writes them: the two planes of a quantised tensor
 * (quantized.ts of the runtime) as two tensors of one file, so that loading moves bytes.
 *
 *     NAME.quants  U8 [.., G · 32] (q8_0) or [.., G · 16] (q4_0, q4_1), for a weight NAME [.., K], G = ceil(K / 32)
 *     NAME.scales  F16 [.., G], in q4_1 [.., 2 G]: scale and minimum in turn
 *
 * The file's metadata says which they are: `mask_llava.quantized` is a JSON object of {NAME: {dtype, shape}}. That the
 * checkpoint has such files at all, config.json says: `quantization_config` with quant_method "mask-llava", version 1 and
 * group_size 32, so that other readers know that they do not know it.
 */
import { isQuantized, type QuantizedDType, quantGroup, quantizedLayout } from "@mask-llava/runtime";
import { z } from "zod";
import { parseConfig } from "./config.ts";
import { CheckpointError, ConfigError } from "./errors.ts";
import type { SafetensorsHeader } from "./safetensors.ts";
import { type StoredTensor, storedBytes } from "./stored-tensor.ts";
import { parseStrictJson } from "./strict-json.ts";

/** The metadata key that lists a file's quantised weights. */
export const quantizedKey = "mask_llava.quantized";

/** `quantization_config` of a config.json. Checkpoints that others quantised are refused by name. */
export const quantizationSchema = z.looseObject({
  quant_method: z.literal("mask-llava"),
  version: z.literal(1),
  group_size: z.literal(quantGroup),
});

export const quantizationConfig: z.output<typeof quantizationSchema> = {
  quant_method: "mask-llava",
  version: 1,
  group_size: quantGroup,
};

/** A weight that is stored in planes. */
export interface QuantizedEntry {
  readonly dtype: QuantizedDType;
  readonly shape: readonly number[];
}

const entriesSchema = z.record(
  z.string(),
  z.strictObject({
    dtype: z.custom<QuantizedDType>((value) => typeof value === "string" && isQuantized(value), {
      error: "is not a quantised dtype",
    }),
    shape: z.array(z.int().positive()).min(1),
  }),
);

/** Names and shapes of the two tensors that a weight is stored in. */
export function planeTensors(name: string, { dtype, shape }: QuantizedEntry) {
  const { quants, scales } = quantizedLayout(shape, dtype);
  const rows = shape.slice(0, -1);
  return {
    quants: { name: `${name}.quants`, shape: [...rows, quants.rowBytes] },
    scales: { name: `${name}.scales`, shape: [...rows, scales.rowBytes / storedBytes.F16] },
  };
}

/** A file's tensors, with each pair of planes as the weight that it is. */
export function joinPlanes(
  { tensors, metadata }: SafetensorsHeader,
  file: string,
): Map<string, StoredTensor> {
  const text = metadata[quantizedKey];
  const joined = new Map(tensors);
  if (text === undefined) return joined;
  for (const [name, entry] of Object.entries(readEntries(text, file))) {
    const planes = planeTensors(name, entry);
    const quants = takePlane(joined, planes.quants, "U8", file);
    const scales = takePlane(joined, planes.scales, "F16", file);
    if (joined.has(name)) {
      throw new CheckpointError(`is stored quantised, and as it is, too`, { file, tensor: name });
    }
    const { source, begin, end } = quants;
    joined.set(name, {
      name,
      dtype: entry.dtype,
      shape: entry.shape,
      source,
      begin,
      end,
      scales: { begin: scales.begin, end: scales.end },
    });
  }
  return joined;
}

function readEntries(text: string, file: string): z.output<typeof entriesSchema> {
  const where = `${file}: __metadata__.${quantizedKey}`;
  let json: unknown;
  try {
    json = parseStrictJson(text);
  } catch (cause) {
    throw new ConfigError(where, "", `is not valid JSON: ${(cause as Error).message}`, {}, { cause });
  }
  return parseConfig(entriesSchema, json, where);
}

function takePlane(
  tensors: Map<string, StoredTensor>,
  { name, shape }: { name: string; shape: readonly number[] },
  dtype: "U8" | "F16",
  file: string,
): StoredTensor {
  const expected = `${dtype} [${shape.join(", ")}]`;
  const plane = tensors.get(name);
  if (!plane) {
    throw new CheckpointError(`is missing, and __metadata__.${quantizedKey} says that it is there`, {
      file,
      tensor: name,
      expected,
    });
  }
  const found = `${plane.dtype} [${plane.shape.join(", ")}]`;
  if (found !== expected) {
    throw new CheckpointError("is not the plane of a quantised weight that it should be", {
      file,
      tensor: name,
      found,
      expected,
    });
  }
  tensors.delete(name);
  return plane;
}
