import { type Dispatch, dispatch, type Kernel, read } from "../../kernel.ts";
import type { BuildContext } from "../../op.ts";
import { isQuantized, type QuantizedDType, quantizedLayout } from "../../quantized.ts";
import { quantizedReader } from "../../quantized-reading.ts";
import type { Tensor } from "../../tensor.ts";
import { quantizedWindows, rowsOf } from "../../windows.ts";
import { epilogueBindings, epilogueValues, epilogueWgsl } from "./epilogue.wgsl.ts";
import { partValues, type quantizedUniforms } from "./quantized-dispatches.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";

/** Bindings of kernels with both operands quantised. */
export const integerBindings = (aQuants: string, quants: string) => ({
  a_quants: read(aQuants),
  a_scales: read("u32"),
  quants: read(quants),
  scales: read("u32"),
  ...epilogueBindings,
});

export type IntegerKernel = Kernel<keyof ReturnType<typeof integerBindings>, keyof typeof quantizedUniforms>;

/**
 * Reader of the weights, epilogue, and: `dot_bytes(a, b, sum)`, sum plus the products of four signed bytes, by
 * `dot4I8Packed` where the device has it; `a_scale_of(g)`, the scale of A's group g.
 */
export function integerWgsl(dtype: QuantizedDType, packedDot: boolean): string {
  const bytes = (w: string) =>
    `(vec4<i32>(vec4<u32>(${w}) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u))`;
  return `
${quantizedReader(dtype)}
${epilogueWgsl}
fn dot_bytes(a: u32, b: u32, sum: i32) -> i32 { return sum + ${packedDot ? "dot4I8Packed(a, b)" : `dot(${bytes("a")}, ${bytes("b")})`}; }
fn a_scale_of(g: u32) -> f32 { return unpack2x16float(a_scales[g >> 1u])[g & 1u]; }`;
}

/** Whether both operands are quantised, A in int8. */
export function isInteger({ a, b }: MatmulInputs): boolean {
  return a.dtype === "q8_0" && isQuantized(b.dtype);
}

/** The dispatches of a product of quantised A [.., M, K] and B [N, K]: one, or one for each window of rows of either. */
export function integerDispatches(
  compiled: IntegerKernel,
  { inputs, outputs, params, caps }: BuildContext<MatmulInputs, MatmulParams>,
  workgroups: (rows: number, columns: number) => readonly [number, number?, number?],
): Dispatch[] {
  const { a, b, bias, residual } = inputs;
  const { n } = matmulShape(inputs, params);
  const { groups } = quantizedLayout(b.shape, b.dtype as QuantizedDType);
  const y = { tensor: outputs[0] as Tensor, width: n };
  const added = { tensor: residual ?? y.tensor, width: n };
  return quantizedWindows(a, caps, [y, added]).flatMap((rows) =>
    quantizedWindows(b, caps).map((columns) =>
      dispatch(
        compiled,
        {
          a_quants: rows.quants,
          a_scales: rows.scales,
          quants: columns.quants,
          scales: columns.scales,
          y: rowsOf(y, rows),
          bias: bias ?? rows.scales,
          residual: residual ? rowsOf(added, rows) : rows.scales,
        },
        { n, groups, ...partValues(rows, columns), ...epilogueValues(params, inputs) },
        workgroups(rows.count, columns.count),
      ),
    ),
  );
}
