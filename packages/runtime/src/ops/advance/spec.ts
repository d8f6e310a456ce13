import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";

/** What a decoding step moves on. All u32. */
export interface AdvanceInputs {
  /** [B]: the tokens just chosen. */
  readonly token: TensorSpec;
  /** [E]: ids that end a sequence. */
  readonly eos: TensorSpec;
  /** [B], written: the token. What the next step embeds. */
  readonly last: TensorSpec;
  /** [B, L], written: the token is appended at `length`, where there is room. */
  readonly history: TensorSpec;
  /** [B], written: + 1. */
  readonly length: TensorSpec;
  /** [B], written: + 1; the position of the token in the sequence, and where its key and value go. */
  readonly position: TensorSpec;
  /** [B, 2], written: seed, and step + 1. */
  readonly random: TensorSpec;
  /** [B], written: 1 from the first token that ends the sequence on. */
  readonly done: TensorSpec;
}

export function advanceShape(inputs: AdvanceInputs): { batch: number; capacity: number; ends: number } {
  const [batch, capacity] = inputs.history.shape as [number, number];
  const expected: [TensorSpec, number[]][] = [
    [inputs.history, [batch, capacity]],
    [inputs.token, [batch]],
    [inputs.last, [batch]],
    [inputs.length, [batch]],
    [inputs.position, [batch]],
    [inputs.random, [batch, 2]],
    [inputs.done, [batch]],
  ];
  for (const [spec, shape] of expected) {
    if (formatShape(spec.shape) !== formatShape(shape))
      throw new ShapeError(`advance: ${formatSpec(spec)} is not ${formatShape(shape)}`);
  }
  for (const spec of Object.values(inputs) as TensorSpec[]) {
    if (spec.dtype !== "u32") throw new DTypeError(`advance: ${formatSpec(spec)} is not u32`);
  }
  return { batch, capacity, ends: inputs.eos.shape[0] ?? 0 };
}
