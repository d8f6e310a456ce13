import { type CallOptions, type Op, Recorder, type Tensor, type Tensors } from "@mask-llava/runtime";

/** An op call as it was made, which a Program no longer knows. */
export interface TracedCall {
  readonly op: string;
  readonly inputs: Readonly<Record<string, Tensor | undefined>>;
  readonly params: unknown;
  readonly outputs: readonly Tensor[];
}

/** A Recorder that also writes down what is called with what, for another library to be told the same. */
export class TracedRecorder extends Recorder {
  readonly calls: TracedCall[] = [];

  override call<I, P>(op: Op<I, P>, inputs: Tensors<I>, params: P, options?: CallOptions): Tensor[] {
    const outputs = super.call(op, inputs, params, options);
    this.calls.push({ op: op.name, inputs: { ...inputs } as TracedCall["inputs"], params, outputs });
    return outputs;
  }
}
