import type { InputSpecs, Op, Shape, Tensor, Tensors } from "@mask-llava/runtime";
import type { GraphBuilder } from "../onnx/graph.ts";
import type { TracedCall } from "../traced-recorder.ts";

/** What ONNX Runtime's WebGPU provider has no kernel for, or not in this form. */
export class Untranslatable extends Error {}

/** A recorded call of a known op. */
export interface Call<I, P> {
  readonly inputs: Tensors<I>;
  readonly params: P;
  readonly output: Tensor;
}

/** A value that holds an output's elements in their order, perhaps in another shape. */
export interface Reshaped {
  readonly value: string;
  readonly shape: Shape;
}

/** How an op is said in ONNX's operators. */
export interface Translation<I = InputSpecs, P = unknown> {
  readonly op: string;
  /** Adds nodes for a call and returns the value that is its output. */
  say(graph: GraphBuilder, call: Call<I, P>): string | Reshaped;
}

export function translation<I, P>(op: Op<I, P>, say: Translation<I, P>["say"]): Translation {
  return { op: op.name, say } as unknown as Translation;
}

/** A traced call of `op`, with its types. */
export function callOf<I, P>(op: Op<I, P>, call: TracedCall): Call<I, P> {
  const [output] = call.outputs;
  if (call.op !== op.name || !output) throw new Untranslatable(`${call.op} is no ${op.name} with an output`);
  return { inputs: call.inputs as unknown as Tensors<I>, params: call.params as P, output };
}
