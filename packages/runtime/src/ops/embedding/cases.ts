import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { embeddingOp } from "./index.ts";
import type { EmbeddingInputs, EmbeddingParams } from "./spec.ts";

function embeddingCase(
  table: Shape,
  ids: Shape,
  dtype: DType,
  outside: readonly number[] = [],
): OpCase<EmbeddingInputs, EmbeddingParams> {
  const [rows = 0] = table;
  return {
    name: `${JSON.stringify(table)} ${JSON.stringify(ids)} ${dtype}${outside.length ? ` and ids ${outside}` : ""}`,
    params: {},
    inputs(r) {
      const drawn = r.integers(ids, 0, rows);
      // the first and the last row, and the ids that no row has, among random ones
      const data = [0, rows - 1, ...outside, ...drawn.data].slice(0, drawn.data.length);
      return { table: r.normals(table, { dtype }), ids: hostTensor(ids, "u32", data) };
    },
    // a copy, and every half and every quantised weight is a float: no rounding
    tolerance: { abs: 0, rel: 0 },
  };
}

export const embeddingSuite = suite(embeddingOp, [
  embeddingCase([5, 8], [7], "f32"),
  embeddingCase([33, 7], [3, 11], "f32"),
  embeddingCase([300, 64], [2, 3, 40], "f32", [300, 301, 0xffffffff]),
  embeddingCase([129, 36], [130], "f16"),
  embeddingCase([77, 5], [9], "f16", [77, 0xffffffff]),
  embeddingCase([1, 1], [3], "f16", [1]),
  embeddingCase([33, 64], [3, 11], "q8_0", [33]),
  embeddingCase([17, 96], [29], "q4_0", [17, 0xffffffff]),
  embeddingCase([9, 45], [14], "q4_1", [9]),
  embeddingCase([9, 6], [5], "q8_0"),
]);
