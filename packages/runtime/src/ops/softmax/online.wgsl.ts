import { f32, wgsl } from "../../wgsl.ts";
import { maskedBelow } from "./spec.ts";

/** Maximum and sum of exponentials in one pass: the sum is rescaled where the maximum grows (Milakov, Gimelshein 2018). */
export const online = wgsl`
const masked = ${f32(maskedBelow)};
struct Stats { largest: f32, total: f32 }
fn weight(value: f32, largest: f32) -> f32 { return select(exp(value - largest), 0.0, value <= masked); }
fn add_value(s: Stats, value: f32) -> Stats {
  let largest = max(s.largest, value);
  return Stats(largest, s.total * exp(s.largest - largest) + weight(value, largest));
}
fn quotient(p: f32, total: f32) -> f32 { return select(p / total, 0.0, total == 0.0); }`;
