import { type DType, isQuantized } from "@mask-llava/runtime";
import { canConvert } from "./convert.ts";
import type { StoredDType } from "./safetensors.ts";

/** GPU types of floating-point weights that are not quantised. */
export type FloatDType = "f32" | "f16";

/** How a network's floating-point weights are held on the GPU. */
export const weightDTypes = ["f32", "f16", "q8", "q4"] as const;
export type WeightDType = (typeof weightDTypes)[number];

/**
 * What a weight is for, where it may be quantised: the matrix of a linear layer, or one with a row a token of the
 * vocabulary (embeddings, and the head that chooses the next token).
 */
export type WeightRole = "linear" | "vocabulary";

/** The type of what is not quantised under `dtype`. */
export function floatDType(dtype: WeightDType): FloatDType {
  return dtype === "f32" ? "f32" : "f16";
}

/**
 * The GPU type of a floating-point weight. Under q4 the vocabulary's matrices are q8_0: an error in the head moves every
 * logit, an error in an embedding enters every layer, and 8 bits cost a 7B model 2% of memory. What has no role (vision
 * towers, projectors) is f16 under q8 and q4.
 */
export function weightTarget(dtype: WeightDType, role?: WeightRole): DType {
  if (!role || dtype === "f32" || dtype === "f16") return floatDType(dtype);
  return dtype === "q8" || role === "vocabulary" ? "q8_0" : "q4_0";
}

const floats: readonly StoredDType[] = ["F32", "F16", "BF16", "F64"];

/** The GPU type for `stored` where the caller names none: `weightTarget` for floating-point data, i32 or u32 for integers. */
export function defaultTarget(stored: StoredDType, dtype: WeightDType, role?: WeightRole): DType {
  if (floats.includes(stored)) return weightTarget(dtype, role);
  return stored === "U32" ? "u32" : "i32";
}

/** Whether `stored` elements can become `target`. Floats become floats, or are quantised, and integers integers. */
export function canLoad(stored: StoredDType, target: DType): boolean {
  return isQuantized(target) ? floats.includes(stored) : canConvert(stored, target);
}
