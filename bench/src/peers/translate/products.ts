import { type Activation, conv2dOp, embeddingOp, matmulOp, type Tensor } from "@mask-llava/runtime";
import type { GraphBuilder } from "../onnx/graph.ts";
import { activate } from "./elementwise.ts";
import { rmsNormalization } from "./rows.ts";
import { type Translation, translation, Untranslatable } from "./translation.ts";

interface Epilogue {
  readonly activation: Activation;
  readonly bias?: Tensor | undefined;
  readonly residual?: Tensor | undefined;
}

/** What we fuse into the product; ONNX Runtime fuses what it can of it. */
function finish(graph: GraphBuilder, y: string, { activation, bias, residual }: Epilogue): string {
  const biased = bias ? graph.apply("Add", [y, graph.read(bias)]) : y;
  const active = activate(graph, activation, biased);
  return residual ? graph.apply("Add", [active, graph.read(residual)]) : active;
}

/** Bᵀ: a weight is turned beforehand, as exporters do; for what is computed, ONNX Runtime fuses the Transpose or runs it. */
function turned(graph: GraphBuilder, b: Tensor): string {
  if (graph.isWeight(b)) return graph.transposed(b);
  const rank = b.shape.length;
  const perm = [...b.shape.keys()].slice(0, -2).concat(rank - 1, rank - 2);
  return graph.apply("Transpose", [graph.read(b)], { attributes: { perm } });
}

export const products: readonly Translation[] = [
  translation(matmulOp, (graph, { inputs, params, output }) => {
    const { a, b, bias, residual, gain, up } = inputs;
    const { transposeB, activation, scale, eps = 0 } = params;
    if (scale !== 1) throw new Untranslatable("matmul: with a scale");
    if (a.dtype !== "f32")
      throw new Untranslatable(`matmul: of ${a.dtype} by ${b.dtype}, whose A was rounded before`);
    const x = gain ? rmsNormalization(graph, graph.read(a), gain, eps) : graph.read(a);
    const times = (matrix: Tensor) =>
      graph.apply("MatMul", [x, transposeB ? turned(graph, matrix) : graph.read(matrix)]);
    const y = finish(graph, times(b), { activation, bias, residual: residual?.reshape(output.shape) });
    return up ? graph.apply("Mul", [y, times(up)]) : y;
  }),
  translation(conv2dOp, (graph, { inputs: { x, weight, bias, residual }, params }) => {
    const { stride, padding, dilation, groups, activation, addFirst } = params;
    if (addFirst && residual) throw new Untranslatable("conv2d: a residual before the activation");
    const inputs = [x, weight, ...(bias ? [bias] : [])].map((t) => graph.read(t));
    const y = graph.apply("Conv", inputs, {
      attributes: {
        strides: stride,
        pads: [...padding, ...padding],
        dilations: dilation,
        group: groups,
        kernel_shape: weight.shape.slice(2),
      },
    });
    return finish(graph, y, { activation, residual });
  }),
  translation(embeddingOp, (graph, { inputs: { table, ids } }) =>
    graph.apply("Gather", [graph.read(table), graph.read(ids)]),
  ),
];
