import { type Dispatch, dispatch, type Kernel, read, type UniformType, write } from "../../kernel.ts";
import type { BuildContext } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type SignWeightedValueInputs, signWeightedValueShape } from "./spec.ts";

export const valueBindings = {
  signs: read("u32"),
  weights: read("f32"),
  v: read("vec4<f32>"),
  y: write("f32"),
} as const;

export const valueUniforms = {
  tokens: "u32",
  heads: "u32",
  size: "u32",
  blocks: "u32",
  /** Workgroups along a head. */
  parts: "u32",
  scale: "f32",
} as const satisfies Record<string, UniformType>;

/** The dispatches, in windows of masks: a workgroup takes `rows` rows by `columns` columns of a head. */
export function valueDispatches(
  compiled: Kernel<keyof typeof valueBindings, keyof typeof valueUniforms>,
  { rows, columns }: { readonly rows: number; readonly columns: number },
  { inputs, outputs, caps }: BuildContext<SignWeightedValueInputs, Record<string, never>>,
): Dispatch[] {
  const { masks, tokens, heads, size, blocks } = signWeightedValueShape(inputs);
  const parts = Math.ceil(size / columns);
  const windowed = {
    signs: { tensor: inputs.signs, width: heads * blocks * tokens },
    weights: { tensor: inputs.weights, width: tokens },
    y: { tensor: outputs[0] as Tensor, width: tokens * heads * size },
  };
  return rowWindows(masks, Object.values(windowed), caps).map((w) =>
    dispatch(
      compiled,
      {
        signs: rowsOf(windowed.signs, w),
        weights: rowsOf(windowed.weights, w),
        v: inputs.values,
        y: rowsOf(windowed.y, w),
      },
      { tokens, heads, size, blocks, parts, scale: 1 / (heads * tokens) },
      [heads * parts, Math.ceil(tokens / rows), w.count],
    ),
  );
}
