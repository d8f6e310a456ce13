import { layerNorm2dOp, layerNormOp, rmsNormOp, softmaxOp, type Tensor } from "@mask-llava/runtime";
import type { GraphBuilder } from "../onnx/graph.ts";
import { type Translation, translation } from "./translation.ts";

interface Affine {
  readonly weight: Tensor;
  readonly bias?: Tensor | undefined;
}

/** Over the last axis of `x`. */
function layerNormalization(graph: GraphBuilder, x: string, { weight, bias }: Affine, eps: number): string {
  const inputs = [x, graph.read(weight), ...(bias ? [graph.read(bias)] : [])];
  return graph.apply("LayerNormalization", inputs, { attributes: { axis: -1, epsilon: { float: eps } } });
}

function transpose(graph: GraphBuilder, x: string, perm: readonly number[]): string {
  return graph.apply("Transpose", [x], { attributes: { perm } });
}

const normed = new WeakMap<GraphBuilder, Map<string, string>>();

/** RMS norm over the last axis; the same one twice is one node, where several of our products norm on the way. */
export function rmsNormalization(graph: GraphBuilder, x: string, gain: Tensor, eps: number): string {
  const done = normed.get(graph) ?? new Map<string, string>();
  normed.set(graph, done);
  const weight = graph.read(gain);
  const key = JSON.stringify([x, weight, eps]);
  const value =
    done.get(key) ??
    graph.apply("SimplifiedLayerNormalization", [x, weight], {
      attributes: { axis: -1, epsilon: { float: eps } },
    });
  done.set(key, value);
  return value;
}

export const rows: readonly Translation[] = [
  translation(layerNormOp, (graph, { inputs, params }) =>
    layerNormalization(graph, graph.read(inputs.x), inputs, params.eps),
  ),
  // channels go last and come back, as in the published model's own code
  translation(layerNorm2dOp, (graph, { inputs, params }) => {
    const last = transpose(graph, graph.read(inputs.x), [0, 2, 3, 1]);
    return transpose(graph, layerNormalization(graph, last, inputs, params.eps), [0, 3, 1, 2]);
  }),
  translation(rmsNormOp, (graph, { inputs: { x, weight }, params: { eps } }) =>
    rmsNormalization(graph, graph.read(x), weight, eps),
  ),
  translation(softmaxOp, (graph, { inputs: { x } }) =>
    graph.apply("Softmax", [graph.read(x)], { attributes: { axis: -1 } }),
  ),
];
