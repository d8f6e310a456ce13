import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";

const workgroup = 64;

const copyKernel = kernel({
  name: "sample-copy",
  bindings: { logits: read("f32"), scores: write("f32") },
  uniforms: { n: "u32" },
  code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i < u.n) { scores[i] = logits[i]; }
}`,
});

/** A thread for each place of the history. Ids that occur twice write the same value twice, so their order is no matter. */
const penaltyKernel = kernel({
  name: "sample-penalty",
  bindings: {
    logits: read("f32"),
    history: read("u32"),
    length: read("u32"),
    settings: read("f32"),
    scores: write("f32"),
  },
  uniforms: { vocabulary: "u32", capacity: "u32" },
  code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let row = gid.y;
  if (gid.x >= min(length[row], u.capacity)) { return; }
  let id = history[row * u.capacity + gid.x];
  if (id >= u.vocabulary) { return; }
  let at = row * u.vocabulary + id;
  let x = logits[at];
  scores[at] = select(x * settings[4], x / settings[4], x > 0.0);
}`,
});

/** Dispatches that write the penalised logits [B, V] to `scores`. */
export function penaltyDispatches(
  tensors: { logits: Tensor; history: Tensor; length: Tensor; settings: Tensor; scores: Tensor },
  shape: { batch: number; vocabulary: number; capacity: number },
) {
  const { logits, history, length, settings, scores } = tensors;
  const { batch, vocabulary, capacity } = shape;
  const n = batch * vocabulary;
  return [
    dispatch(copyKernel, { logits, scores }, { n }, grid(n, workgroup)),
    dispatch(penaltyKernel, { logits, history, length, settings, scores }, { vocabulary, capacity }, [
      Math.ceil(capacity / workgroup),
      batch,
    ]),
  ];
}
