import type { InputSpecs, Storage, Tensor, Tensors } from "@mask-llava/runtime";
import { type External, GraphBuilder, type GraphOptions, type OnnxModel } from "../onnx/graph.ts";
import type { TracedCall } from "../traced-recorder.ts";
import { attentions, decoderAttention, isDecoderAttention } from "./attention.ts";
import { elementwise } from "./elementwise.ts";
import { layout } from "./layout.ts";
import { products } from "./products.ts";
import { rows } from "./rows.ts";
import { type Reshaped, Untranslatable } from "./translation.ts";

export { Untranslatable } from "./translation.ts";

const translations = new Map(
  [...products, ...attentions, ...rows, ...elementwise, ...layout].map((t) => [t.op, t]),
);

export function isTranslatable(op: string): boolean {
  return translations.has(op);
}

/**
 * A recording as an ONNX model with the same inputs, weights and outputs.
 * @param external every tensor that no call computes
 */
export function translate(
  name: string,
  calls: readonly TracedCall[],
  outputs: readonly Tensor[],
  options: GraphOptions,
  external: ReadonlyMap<Storage, External>,
): OnnxModel {
  const graph = new GraphBuilder(name, options, external);
  for (let i = 0; i < calls.length; i++) {
    const [call, next] = [calls[i] as TracedCall, calls[i + 1]];
    if (next && isDecoderAttention(call, next)) {
      assign(graph, onlyOutput(next), decoderAttention(graph, call, next));
      i++;
      continue;
    }
    const translation = translations.get(call.op);
    if (!translation) throw new Untranslatable(`${name}: ONNX Runtime has no ${call.op}`);
    const output = onlyOutput(call);
    const inputs = call.inputs as unknown as Tensors<InputSpecs>;
    assign(graph, output, translation.say(graph, { inputs, params: call.params, output }));
  }
  for (const tensor of outputs) graph.result(graph.read(tensor), tensor.shape, { tensor });
  return graph.finish();
}

function assign(graph: GraphBuilder, output: Tensor, said: string | Reshaped): void {
  if (typeof said === "string") graph.assign(output, said);
  else graph.assign(output.reshape(said.shape), said.value);
}

function onlyOutput({ op, outputs }: TracedCall): Tensor {
  const [output] = outputs;
  if (!output || outputs.length > 1) throw new Untranslatable(`${op}: ${outputs.length} outputs`);
  return output;
}
