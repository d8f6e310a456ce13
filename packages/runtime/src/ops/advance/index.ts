import { dispatch, kernel, read, write } from "../../kernel.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { type AdvanceInputs, advanceShape } from "./spec.ts";

const workgroup = 32;

const advanceKernel = kernel({
  name: "advance",
  bindings: {
    token: read("u32"),
    eos: read("u32"),
    last: write("u32"),
    history: write("u32"),
    length: write("u32"),
    position: write("u32"),
    random: write("u32"),
    done: write("u32"),
  },
  uniforms: { batch: "u32", capacity: "u32", ends: "u32" },
  code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let b = gid.x;
  if (b >= u.batch) { return; }
  let id = token[b];
  last[b] = id;
  let at = length[b];
  if (at < u.capacity) { history[b * u.capacity + at] = id; }
  length[b] = at + 1u;
  position[b] += 1u;
  random[2u * b + 1u] += 1u;
  for (var e = 0u; e < u.ends; e++) { if (eos[e] == id) { done[b] = 1u; } }
}`,
});

export const advanceOp: Op<AdvanceInputs, Record<string, never>> = {
  name: "advance",
  mutates: ["last", "history", "length", "position", "random", "done"],
  infer(inputs) {
    advanceShape(inputs);
    return [];
  },
  variants: [
    {
      name: "rows",
      supports: () => true,
      build({ inputs }) {
        const uniforms = advanceShape(inputs);
        return [dispatch(advanceKernel, { ...inputs }, uniforms, [Math.ceil(uniforms.batch / workgroup)])];
      },
    },
  ],
  reference(inputs) {
    const { batch, capacity } = advanceShape(inputs);
    const { token, eos, last, history, length, position, random, done } = inputs;
    for (let b = 0; b < batch; b++) {
      const id = token.data[b] as number;
      last.data[b] = id;
      const at = length.data[b] as number;
      if (at < capacity) history.data[b * capacity + at] = id;
      length.data[b] = at + 1;
      position.data[b] = (position.data[b] as number) + 1;
      random.data[2 * b + 1] = (random.data[2 * b + 1] as number) + 1;
      if (eos.data.includes(id)) done.data[b] = 1;
    }
    return [];
  },
  cost: (inputs) => ({ flops: 0, bytes: 32 * advanceShape(inputs).batch }),
};

/** Moves a decoding step on, on the GPU: history, length, position, random step and end flags. */
export function advance(cmd: Recorder, tensors: { readonly [K in keyof AdvanceInputs]: Tensor }): void {
  cmd.call(advanceOp, tensors, {});
}
