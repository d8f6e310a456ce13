import { orderedKeyWgsl } from "../../ordered-key.ts";
import type { ReduceKind } from "./spec.ts";

/**
 * How a kind of reduction computes: values are lifted to `type`, combined, and lowered again. Extremes are found on
 * ordered keys, where a NaN is the largest of all, so that it reaches the result as it does in torch.
 */
export interface ReduceElement {
  readonly name: string;
  readonly type: "f32" | "u32";
  readonly operation: "add" | "max";
  /** `fn lift(f32) -> type`, `fn lower(type) -> f32`, `fn combine(type, type) -> type`. */
  readonly code: string;
}

const addition: ReduceElement = {
  name: "sum",
  type: "f32",
  operation: "add",
  code: `
fn lift(x: f32) -> f32 { return x; }
fn lower(s: f32) -> f32 { return s * u.scale; }
fn combine(a: f32, b: f32) -> f32 { return a + b; }`,
};

const maximum: ReduceElement = {
  name: "max",
  type: "u32",
  operation: "max",
  code: `${orderedKeyWgsl}
fn lift(x: f32) -> u32 { return key_of(x); }
fn lower(k: u32) -> f32 { return value_of(k); }
fn combine(a: u32, b: u32) -> u32 { return max(a, b); }`,
};

const minimum: ReduceElement = {
  name: "min",
  type: "u32",
  operation: "max",
  code: `${orderedKeyWgsl}
fn lift(x: f32) -> u32 {
  let k = key_of(x);
  return select(~k, k, k == 0xffffffffu);
}
fn lower(k: u32) -> f32 { return value_of(select(~k, k, k == 0xffffffffu)); }
fn combine(a: u32, b: u32) -> u32 { return max(a, b); }`,
};

export const reduceElement: Record<ReduceKind, ReduceElement> = {
  sum: addition,
  mean: addition,
  max: maximum,
  min: minimum,
};
