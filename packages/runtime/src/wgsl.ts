import { wgsl as preprocess } from "wgsl-preprocessor/wgsl-preprocessor.js";
import { KernelError } from "./errors.ts";

/** What may stand in a WGSL template: text, finite numbers, and conditions of `#if` / `#elif`. */
export type WgslValue = string | number | boolean;

const directive = /#(if|elif)\s*$/;

/**
 * The one typed wrapper of `wgsl-preprocessor`: a template tag with `#if ${condition} … #elif ${…} … #else … #endif`.
 * The library prints `undefined`, `NaN` and booleans verbatim into the shader; here they are errors.
 */
export function wgsl(strings: TemplateStringsArray, ...values: WgslValue[]): string {
  for (let i = 0; i < values.length; i++) {
    const value: unknown = values[i];
    const isCondition = directive.test(strings[i] ?? "");
    if (isCondition) {
      if (typeof value !== "boolean")
        throw new KernelError(`WGSL template: #if takes a boolean, found ${value}`);
    } else if (typeof value === "number" ? !Number.isFinite(value) : typeof value !== "string") {
      throw new KernelError(`WGSL template: value ${i} after "${strings[i]?.slice(-40)}" is ${value}`);
    }
  }
  return preprocess(strings, ...values);
}

/** A number as a WGSL f32 literal, exactly rounded by the WGSL compiler. */
export function f32(value: number): string {
  if (!Number.isFinite(value)) throw new KernelError(`not a finite f32 literal: ${value}`);
  const text = String(Math.fround(value));
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
}
