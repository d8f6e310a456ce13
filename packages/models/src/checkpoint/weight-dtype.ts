import { type DType, isBlockFormat, isQuantized, planesOf } from "@mask-llava/runtime";
import { canConvert } from "./convert.ts";
import { isElementType, isStoredQuantized, type StoredDType, type StoredType } from "./stored-tensor.ts";

/** GPU types of floating-point weights that are not quantised. */
export type FloatDType = "f32" | "f16";

/** How a network's floating-point weights are held on the GPU. */
export const weightDTypes = ["f32", "f16", "q8", "q4"] as const;
export type WeightDType = (typeof weightDTypes)[number];

/**
 * `stored`: weights that were quantised before they were stored stay as they are where the runtime has their numbers as a
 * dtype, and everything else is f16.
 */
export type LoadDType = WeightDType | "stored";

/**
 * What a weight is for, where it may be quantised: the matrix of a linear layer, or one with a row a token of the
 * vocabulary (embeddings, and the head that chooses the next token).
 */
export type WeightRole = "linear" | "vocabulary";

/** The type of what is not quantised under `dtype`. */
export function floatDType(dtype: LoadDType): FloatDType {
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

const floats: readonly StoredType[] = ["F32", "F16", "BF16", "F64"] satisfies readonly StoredDType[];

/**
 * The GPU type for `stored` where the caller names none: `weightTarget` for floating-point data, i32 or u32 for integers.
 * What was quantised before keeps its numbers where those have no more bits than are asked for.
 */
export function defaultTarget(stored: StoredType, dtype: LoadDType, role?: WeightRole): DType {
  const own = isBlockFormat(stored) ? planesOf[stored] : isQuantized(stored) ? stored : undefined;
  if (dtype === "stored" && own && role) return own;
  const wanted = dtype === "stored" ? "f16" : weightTarget(dtype, role);
  if (own && isQuantized(wanted) && (own !== "q8_0" || wanted === "q8_0")) return own;
  if (floats.includes(stored) || isStoredQuantized(stored)) return wanted;
  return stored === "U32" ? "u32" : "i32";
}

/**
 * Whether `stored` can become `target`. Floats become floats, or are quantised, and integers integers; blocks become floats
 * or are laid out anew; planes stay what they are.
 */
export function canLoad(stored: StoredType, target: DType): boolean {
  if (!isElementType(stored)) {
    const float = target === "f32" || target === "f16" || isQuantized(target);
    return isBlockFormat(stored) ? float : stored === target;
  }
  return isQuantized(target) ? floats.includes(stored) : canConvert(stored, target);
}
