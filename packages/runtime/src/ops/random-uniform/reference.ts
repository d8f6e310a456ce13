import type { HostTensor } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { isQuantized, quantizedLayout } from "../../quantized.ts";
import { dequantizeHost } from "../../quantized-host.ts";
import {
  type RandomUniformInputs,
  type RandomUniformParams,
  randomQuants,
  uniformAt,
  uniformScales,
} from "./spec.ts";

export function randomUniformReference(
  { target }: HostTensors<RandomUniformInputs>,
  params: RandomUniformParams,
): HostTensor[] {
  const { range, mean, seed } = params;
  const { shape, dtype, data } = target;
  if (!isQuantized(dtype)) {
    data.forEach((_, i) => {
      data[i] = mean + range * uniformAt(i, seed);
    });
    return [];
  }
  const { quants, scales, bytes } = quantizedLayout(shape, dtype);
  const packed = new Uint8Array(bytes);
  const words = new Uint32Array(packed.buffer);
  for (let i = 0; i < quants.bytes / 4; i++) words[i] = randomQuants(i, seed);
  words.fill(uniformScales(dtype, params), scales.offset / 4, Math.ceil((scales.offset + scales.bytes) / 4));
  data.set(dequantizeHost(packed, shape, dtype));
  return [];
}
