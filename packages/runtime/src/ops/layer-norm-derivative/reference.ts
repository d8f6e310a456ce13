import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import {
  type LayerNormDerivativeInputs,
  type LayerNormDerivativeParams,
  layerNormDerivativeShape,
} from "./spec.ts";

export function layerNormDerivativeReference(
  inputs: HostTensors<LayerNormDerivativeInputs>,
  { direction }: LayerNormDerivativeParams,
): HostTensor[] {
  const { rows, width, points } = layerNormDerivativeShape(inputs);
  const { v, normalized, scale, weight, residual } = inputs;
  const out = new Float64Array(rows * width);
  const gain = (i: number): number => weight.data[i] as number;
  for (let row = 0; row < rows; row++) {
    const x = (row % points) * width;
    const value = (i: number): number =>
      (v.data[row * width + i] as number) * (direction === "vjp" ? gain(i) : 1);
    let mean = 0;
    let along = 0;
    for (let i = 0; i < width; i++) {
      mean += value(i) / width;
      along += (value(i) * (normalized.data[x + i] as number)) / width;
    }
    for (let i = 0; i < width; i++) {
      const d =
        (scale.data[row % points] as number) * (value(i) - mean - along * (normalized.data[x + i] as number));
      const add = residual ? (residual.data[Math.floor(row / points) * width + i] as number) : 0;
      out[row * width + i] = (direction === "jvp" ? d * gain(i) : d) + add;
    }
  }
  return [hostResult(v.shape, out)];
}
