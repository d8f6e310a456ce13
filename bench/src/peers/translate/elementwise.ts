import { type Activation, type BinaryKind, binaryOp, siluMulOp, unaryOp } from "@mask-llava/runtime";
import type { GraphBuilder } from "../onnx/graph.ts";
import { type Translation, translation, Untranslatable } from "./translation.ts";

const microsoft = "com.microsoft" as const;

/** What is applied to x. A SiLU is written as ONNX Runtime's optimiser rewrites x · Sigmoid(x). */
export function activate(graph: GraphBuilder, kind: Activation, x: string): string {
  const quick = (alpha: number) =>
    graph.apply("QuickGelu", [x], { domain: microsoft, attributes: { alpha: { float: alpha } } });
  switch (kind) {
    case "none":
      return x;
    case "relu":
      return graph.apply("Relu", [x]);
    case "gelu":
      return graph.apply("Gelu", [x], { domain: microsoft });
    case "gelu_tanh":
      return graph.apply("FastGelu", [x], { domain: microsoft });
    case "quick_gelu":
      return quick(1.702);
    case "silu":
      return quick(1);
    case "sigmoid":
      return graph.apply("Sigmoid", [x]);
  }
}

const binaryOperators: Record<BinaryKind, string> = {
  add: "Add",
  sub: "Sub",
  mul: "Mul",
  div: "Div",
  max: "Max",
  min: "Min",
};

export const elementwise: readonly Translation[] = [
  translation(unaryOp, (graph, { inputs, params: { kind } }) => {
    switch (kind) {
      case "relu":
      case "gelu":
      case "gelu_tanh":
      case "quick_gelu":
      case "silu":
      case "sigmoid":
        return activate(graph, kind, graph.read(inputs.x));
      default:
        throw new Untranslatable(`unary: ${kind}`);
    }
  }),
  translation(binaryOp, (graph, { inputs: { a, b }, params }) =>
    graph.apply(binaryOperators[params.kind], [graph.read(a), graph.read(b)]),
  ),
  translation(siluMulOp, (graph, { inputs: { gate, up } }) =>
    graph.apply("Mul", [activate(graph, "silu", graph.read(gate)), graph.read(up)]),
  ),
];
