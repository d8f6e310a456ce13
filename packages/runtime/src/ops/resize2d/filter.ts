import { f32, wgsl } from "../../wgsl.ts";
import { cubicCoefficient, type ResizeMode } from "./spec.ts";

/** WGSL `fn filter_weight(d: f32) -> f32`: the triangle, or Keys' cubic convolution. */
export function filterWgsl(mode: ResizeMode, antialias: boolean): string {
  const a = cubicCoefficient(antialias);
  return wgsl`
fn filter_weight(d: f32) -> f32 {
  let x = abs(d);
#if ${mode === "bicubic"}
  let near = (${f32(a + 2)} * x - ${f32(a + 3)}) * x * x + 1.0;
  let far = ${f32(a)} * (((x - 5.0) * x + 8.0) * x - 4.0);
  return select(select(0.0, far, x < 2.0), near, x < 1.0);
#else
  return max(0.0, 1.0 - x);
#endif
}`;
}
