import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { mapDiceOp } from "./index.ts";
import type { MapDiceInputs, MapDiceParams } from "./spec.ts";

function diceCase(
  name: string,
  masks: number,
  [rows, columns, patch]: readonly [number, number, number],
  relevance?: (patch: number) => number,
): OpCase<MapDiceInputs, MapDiceParams> {
  const patches = rows * columns;
  return {
    name: `${name}: ${masks} masks, ${rows}x${columns} patches of ${patch}`,
    params: { rows, columns, patch, scale: 1 / masks },
    inputs: (r) => {
      const shape = [masks, 1 + patches];
      const random = r.normals(shape, { scale: 1e-3 });
      const given = relevance && random.data.map((_, i) => relevance((i % (1 + patches)) - 1));
      return {
        relevance: given ? hostTensor(shape, "f32", given) : random,
        coverage: hostTensor(
          [masks, patches],
          "f32",
          r.normals([masks, patches]).data.map((v) => Math.max(0, v) * patch ** 2),
        ),
        area: hostTensor(
          [patches],
          "f32",
          Float64Array.from({ length: patches }, () => patch ** 2),
        ),
      };
    },
    // gradients reach 1e3 (the relevance's range is a few 1e-3) and are differences of sums of that size: relative errors
    // of some 1e-6, and absolute ones as large where they cancel; dice is of size 1
    tolerance: { abs: 1e-5, rel: 2e-5 },
  };
}

export const mapDiceSuite = suite(mapDiceOp, [
  diceCase("one patch", 2, [1, 1, 4]),
  diceCase("even patches", 3, [5, 5, 16]),
  diceCase("odd patches", 2, [7, 9, 7]),
  diceCase("one row, one pixel a patch", 2, [1, 11, 1]),
  diceCase("more patches than threads", 1, [24, 24, 14]),
  diceCase("flat", 2, [3, 4, 14], () => 0.25),
  diceCase("a single positive patch", 2, [6, 5, 8], (p) => (p === 13 ? 2e-3 : 0)),
]);
