import { type HostTensorData, planeTensors, quantizedKey, writeSafetensors } from "@mask-llava/models";
import { type QuantizedDType, quantizedLayout, quantizeHost } from "@mask-llava/runtime";

/** A weight that is quantised before it is stored. */
export interface QuantizedWeight {
  readonly shape: readonly number[];
  readonly data: Float32Array;
  readonly dtype: QuantizedDType;
}

/** A safetensors file of weights, with planes for those that have a quantised dtype. */
export function writeWithPlanes(weights: Readonly<Record<string, HostTensorData | QuantizedWeight>>) {
  const tensors: Record<string, HostTensorData> = {};
  const listed: Record<string, object> = {};
  for (const [name, weight] of Object.entries(weights)) {
    if (!("dtype" in weight)) {
      tensors[name] = weight;
      continue;
    }
    const { shape, data, dtype } = weight;
    const bytes = quantizeHost(data, shape, dtype);
    const layout = quantizedLayout(shape, dtype);
    const names = planeTensors(name, { dtype, shape });
    const quants = bytes.slice(layout.quants.offset, layout.quants.offset + layout.quants.bytes);
    const scales = bytes.slice(layout.scales.offset, layout.scales.offset + layout.scales.bytes);
    tensors[names.quants.name] = { shape: names.quants.shape, data: quants };
    tensors[names.scales.name] = { shape: names.scales.shape, data: new Uint16Array(scales.buffer) };
    listed[name] = { dtype, shape };
  }
  return writeSafetensors(tensors, { [quantizedKey]: JSON.stringify(listed) });
}
