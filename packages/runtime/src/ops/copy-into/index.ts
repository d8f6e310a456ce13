import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { type CopyIntoInputs, checkCopyInto } from "./spec.ts";

const workgroup = 64;

const copyKernel = kernel({
  name: "copy-into",
  bindings: { source: read("f32"), destination: write("f32") },
  uniforms: { count: "u32", size: "u32" },
  code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.count) { return; }
  destination[i] = source[i % u.size];
}`,
});

export const copyIntoOp: Op<CopyIntoInputs, Record<string, never>> = {
  name: "copy-into",
  mutates: ["target"],
  infer(inputs) {
    checkCopyInto(inputs);
    return [];
  },
  variants: [
    {
      name: "flat",
      supports: () => true,
      build({ inputs: { source, target } }) {
        const count = sizeOf(target.shape);
        const tensors = { source, destination: target };
        return [dispatch(copyKernel, tensors, { count, size: sizeOf(source.shape) }, grid(count, workgroup))];
      },
    },
  ],
  reference({ source, target }) {
    for (let i = 0; i < target.data.length; i++)
      target.data[i] = source.data[i % source.data.length] as number;
    return [];
  },
  cost: ({ target }) => ({ flops: 0, bytes: 8 * sizeOf(target.shape) }),
};

/** Writes `source` into a tensor that outlives the program, repeated to its size: a state's start. */
export function copyInto(cmd: Recorder, source: Tensor, target: Tensor): void {
  cmd.call(copyIntoOp, { source, target }, {});
}
