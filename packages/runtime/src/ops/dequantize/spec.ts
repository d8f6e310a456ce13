import { DTypeError } from "../../errors.ts";
import { isQuantized, type QuantizedDType } from "../../quantized.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";

export interface DequantizeInputs {
  /** [.., K], quantised. */
  readonly x: TensorSpec;
}

export type DequantizeParams = Readonly<Record<never, never>>;

export function quantizedDType(x: TensorSpec): QuantizedDType {
  if (isQuantized(x.dtype)) return x.dtype;
  throw new DTypeError(`dequantize: ${formatSpec(x)}: takes q8_0, q4_0 or q4_1`);
}
