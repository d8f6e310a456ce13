import { activationReference } from "../../activation.ts";
import { DTypeError, ShapeError } from "../../errors.ts";
import { type HostTensor, hostResult } from "../../host-tensor.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Op, Variant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { formatShape, formatSpec, sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import type { SiluMulInputs, SiluMulParams } from "./spec.ts";

const workgroup = 64;

const siluMulKernel = kernel({
  name: "silu-mul",
  bindings: { gate: read("vec4<f32>"), up: read("vec4<f32>"), y: write("vec4<f32>") },
  uniforms: { quads: "u32" },
  code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.quads) { return; }
  let g = gate[i];
  y[i] = g / (1.0 + exp(-g)) * up[i];
}`,
});

const flatVariant: Variant<SiluMulInputs, SiluMulParams> = {
  name: "flat",
  supports: () => true,
  build({ inputs: { gate, up }, outputs, caps }) {
    const parts = {
      gate: { tensor: gate, width: 4 },
      up: { tensor: up, width: 4 },
      y: { tensor: outputs[0] as Tensor, width: 4 },
    };
    return rowWindows(Math.ceil(sizeOf(gate.shape) / 4), Object.values(parts), caps).map((w) =>
      dispatch(
        siluMulKernel,
        { gate: rowsOf(parts.gate, w), up: rowsOf(parts.up, w), y: rowsOf(parts.y, w) },
        { quads: w.count },
        grid(w.count, workgroup),
      ),
    );
  },
};

function siluMulReference({ gate, up }: { gate: HostTensor; up: HostTensor }): HostTensor[] {
  const silu = activationReference("silu");
  return [
    hostResult(
      gate.shape,
      gate.data.map((g, i) => silu(g) * (up.data[i] as number)),
    ),
  ];
}

export const siluMulOp: Op<SiluMulInputs, SiluMulParams> = {
  name: "silu-mul",
  infer({ gate, up }) {
    if (gate.dtype !== "f32" || up.dtype !== "f32")
      throw new DTypeError(`siluMul: ${formatSpec(gate)} and ${formatSpec(up)}: takes f32`);
    if (formatShape(gate.shape) !== formatShape(up.shape))
      throw new ShapeError(`siluMul: ${formatSpec(gate)} and ${formatSpec(up)} differ in shape`);
    return [{ shape: gate.shape, dtype: "f32" }];
  },
  variants: [flatVariant],
  reference: siluMulReference,
  cost({ gate }) {
    const n = sizeOf(gate.shape);
    return { flops: 5 * n, bytes: 12 * n };
  },
};

/** gate · sigmoid(gate) · up: the inside of a gated MLP (Shazeer 2020). Equal shapes, f32. */
export function siluMul(cmd: Recorder, gate: Tensor, up: Tensor): Tensor {
  return cmd.call1(siluMulOp, { gate, up }, {});
}
