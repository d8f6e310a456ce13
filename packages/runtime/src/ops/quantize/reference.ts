import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { dequantizeHost, quantizeHost } from "../../quantized-host.ts";
import { type QuantizeInputs, type QuantizeParams, quantizeShape } from "./spec.ts";

const word = new Uint32Array(1);
const asFloat = new Float32Array(word.buffer);

/** The f32 values of x: those of bf16 pairs have their bits in the words' halves. */
function valuesOf(x: HostTensor): Float64Array {
  if (x.dtype !== "u32") return x.data;
  return Float64Array.from({ length: 2 * x.data.length }, (_, i) => {
    const pair = x.data[i >> 1] as number;
    word[0] = i % 2 ? pair & 0xffff0000 : pair << 16;
    return asFloat[0] as number;
  });
}

export function quantizeReference(
  { x, target }: HostTensors<QuantizeInputs>,
  params: QuantizeParams,
): HostTensor[] {
  const { dtype, row } = params;
  const { rows, width } = quantizeShape({ x, target }, params);
  const shape = [rows, width];
  const values = dequantizeHost(quantizeHost(valuesOf(x), shape, dtype), shape, dtype);
  if (!target) return [hostResult([...x.shape.slice(0, -1), width], Float64Array.from(values), dtype)];
  target.data.set(values, row * width);
  return [];
}
