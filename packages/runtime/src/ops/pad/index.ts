import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, sizeOf, type Tensor } from "../../tensor.ts";
import { type PadInputs, type PadParams, paddedShape } from "./spec.ts";
import { fillVariant, gatherVariant } from "./variants.wgsl.ts";

function padReference({ x }: { x: HostTensor }, params: PadParams): HostTensor[] {
  const shape = paddedShape(x, params);
  const out = new Float64Array(sizeOf(shape)).fill(params.value);
  for (let i = 0; i < x.data.length; i++) {
    let rest = i;
    let to = 0;
    let stride = 1;
    for (let d = shape.length - 1; d >= 0; d--) {
      const size = x.shape[d] as number;
      to += ((rest % size) + (params.padding[d]?.[0] ?? 0)) * stride;
      rest = Math.floor(rest / size);
      stride *= shape[d] as number;
    }
    out[to] = x.data[i] as number;
  }
  return [hostResult(shape, out, x.dtype)];
}

export const padOp: Op<PadInputs, PadParams> = {
  name: "pad",
  infer: ({ x }, params) => [{ shape: paddedShape(x, params), dtype: x.dtype }],
  variants: [gatherVariant, fillVariant],
  reference: padReference,
  cost: ({ x }, [y]) => ({
    flops: 0,
    bytes: (sizeOf(x.shape) + sizeOf(y?.shape ?? [])) * bytesPerElement(x.dtype),
  }),
};

/** Adds `value` before and after along each axis: `padding[i]` = [before, after] of axis i. Any dtype (f16 in pairs). */
export function pad(
  cmd: Recorder,
  x: Tensor,
  padding: readonly (readonly [number, number])[],
  value = 0,
): Tensor {
  return cmd.call1(padOp, { x }, { padding, value });
}
