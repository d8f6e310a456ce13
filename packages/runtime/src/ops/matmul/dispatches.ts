import type { Dispatch, Kernel, TensorWindow, UniformType } from "../../kernel.ts";
import { dispatch } from "../../kernel.ts";
import type { BuildContext } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { type Rows, rowsOf, rowWindows } from "../../windows.ts";
import { epilogueUniforms, epilogueValues } from "./epilogue.wgsl.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";

/** Uniforms of every matmul kernel: rows, columns of the whole product, K, and the columns that B's window covers. */
export const matmulUniforms = {
  m: "u32",
  n: "u32",
  k: "u32",
  columns: "u32",
  column0: "u32",
  /** Elements from one matrix of B to the next; 0 where one serves all. */
  stride_b: "u32",
  ...epilogueUniforms,
} as const satisfies Record<string, UniformType>;

export type MatmulKernel = Kernel<
  "a" | "b" | "y" | "bias" | "residual" | "gain" | "up",
  keyof typeof matmulUniforms
>;
type Bound = Readonly<Record<"a" | "b" | "y" | "residual" | "up", Tensor | TensorWindow>>;

/**
 * The dispatches of a product: one, or one for each window where a tensor exceeds a binding. Windows are of rows of A and
 * of Y, and of rows of a transposed B (columns of Y); of whole matrices where B is batched. `grid` gives the workgroups
 * for so many rows, columns and matrices.
 */
export function matmulDispatches(
  compiled: MatmulKernel,
  { inputs, outputs, params, caps }: BuildContext<MatmulInputs, MatmulParams>,
  grid: (rows: number, columns: number, batch: number) => readonly [number, number, number],
): Dispatch[] {
  const { a, b, bias, residual, gain, up = b } = inputs;
  const y = outputs[0] as Tensor;
  const { batch, m, n, k, batchedB } = matmulShape(inputs, params);
  const emit = (
    tensors: Bound,
    part: { rows: number; column0: number; columns: number; batch: number },
  ): Dispatch =>
    dispatch(
      compiled,
      {
        ...tensors,
        bias: bias ?? tensors.a,
        residual: residual ? tensors.residual : tensors.a,
        gain: gain ?? tensors.a,
      },
      {
        m: part.rows,
        n,
        k,
        columns: part.columns,
        column0: part.column0,
        stride_b: batchedB ? n * k : 0,
        ...epilogueValues(params, inputs),
      },
      grid(part.rows, part.columns, part.batch),
    );
  const rowWidth = batchedB ? { a: m * k, y: m * n } : { a: k, y: n };
  const parts = {
    a: { tensor: a, width: rowWidth.a },
    y: { tensor: y, width: rowWidth.y },
    residual: { tensor: residual ?? y, width: rowWidth.y },
  } satisfies Record<string, Rows>;
  if (batchedB) {
    const matrices = { tensor: b, width: n * k };
    return rowWindows(batch, [...Object.values(parts), matrices], caps).map((w) =>
      emit(
        {
          a: rowsOf(parts.a, w),
          b: rowsOf(matrices, w),
          up: rowsOf(matrices, w),
          y: rowsOf(parts.y, w),
          residual: rowsOf(parts.residual, w),
        },
        { rows: m, column0: 0, columns: n, batch: w.count },
      ),
    );
  }
  const columnWindows = params.transposeB
    ? rowWindows(n, [{ tensor: b, width: k }], caps)
    : [{ start: 0, count: n }];
  return rowWindows(m, Object.values(parts), caps).flatMap((rows) =>
    columnWindows.map((columns) =>
      emit(
        {
          a: rowsOf(parts.a, rows),
          b: params.transposeB ? rowsOf({ tensor: b, width: k }, columns) : b,
          up: params.transposeB ? rowsOf({ tensor: up, width: k }, columns) : up,
          y: rowsOf(parts.y, rows),
          residual: rowsOf(parts.residual, rows),
        },
        { rows: rows.count, column0: columns.start, columns: columns.count, batch: 1 },
      ),
    ),
  );
}

/** Whether both operands are halves. */
export function isHalf({ a, b }: MatmulInputs): boolean {
  return a.dtype === "f16" && b.dtype === "f16";
}

/** Whether every vec4 of a row of A, and of a row of B as it is stored, starts at a multiple of 4 elements. */
export function vec4Aligned(inputs: MatmulInputs, params: MatmulParams): { a: boolean; b: boolean } {
  const { n, k } = matmulShape(inputs, params);
  return { a: k % 4 === 0, b: (params.transposeB ? k : n) % 4 === 0 };
}
