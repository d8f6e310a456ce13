import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { wgsl } from "../../wgsl.ts";
import { type EmbeddingAdamwInputs, type EmbeddingAdamwParams, embeddingAdamwShape } from "./spec.ts";

const threads = 64;

const maskKernel = kernel({
  name: "embedding-adamw",
  bindings: {
    gradient: read("f32"),
    dice: read("f32"),
    anchor: read("f32"),
    rates: read("f32"),
    embedding: write("f32"),
    moments: write("f32"),
    losses: write("f32"),
    steps_made: write("u32"),
  },
  uniforms: {
    masks: "u32",
    width: "u32",
    steps: "u32",
    beta1: "f32",
    rest1: "f32",
    beta2: "f32",
    rest2: "f32",
    epsilon: "f32",
    keep: "f32",
    pull: "f32",
  },
  code: wgsl`
var<workgroup> sums: array<vec4<f32>, ${threads}>;
var<workgroup> current: u32;
fn inverse_norm(square: f32) -> f32 { return select(0.0, inverseSqrt(square), square > 0.0); }
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let mask = flat_workgroup(wid, nwg);
  if (mask >= u.masks) { return; }
  let base = mask * u.width;
  if (li == 0u) {
    current = min(steps_made[mask], u.steps - 1u);
    steps_made[mask] += 1u;
  }
  var sum = vec4<f32>();
  for (var i = li; i < u.width; i += ${threads}u) {
    let t = embedding[base + i];
    let f = anchor[i];
    sum += vec4<f32>(t * t, t * gradient[base + i], t * f, f * f);
  }
  sums[li] = sum;
  workgroupBarrier();
  sum = vec4<f32>();
  for (var i = 0u; i < ${threads}u; i++) { sum += sums[i]; }
  let inverse = inverse_norm(sum.x);
  let anchor_inverse = inverse_norm(sum.w);
  let along = sum.y * inverse;
  let cosine = sum.z * inverse * anchor_inverse;
  let rate = rates[2u * current];
  let second = rates[2u * current + 1u];
  for (var i = li; i < u.width; i += ${threads}u) {
    let t = embedding[base + i];
    let direction = t * inverse;
    let pull = direction * cosine - anchor[i] * anchor_inverse;
    let d = (gradient[base + i] - direction * along + u.pull * pull) * inverse;
    let m1 = u.beta1 * moments[base + i] + u.rest1 * d;
    let m2 = u.beta2 * moments[u.masks * u.width + base + i] + u.rest2 * d * d;
    moments[base + i] = m1;
    moments[u.masks * u.width + base + i] = m2;
    embedding[base + i] = t * u.keep - rate * m1 / (sqrt(m2) * second + u.epsilon);
  }
  if (li == 0u) { losses[mask * u.steps + current] = dice[mask]; }
}`,
});

/** A workgroup a mask. */
export const maskVariant: Variant<EmbeddingAdamwInputs, EmbeddingAdamwParams> = {
  name: "mask",
  supports: () => true,
  build({ inputs, params }) {
    const { masks, width, steps } = embeddingAdamwShape(inputs);
    const { step, ...tensors } = inputs;
    const { beta1, beta2, epsilon, decay, alpha, scale } = params;
    return [
      dispatch(
        maskKernel,
        { ...tensors, steps_made: step },
        {
          masks,
          width,
          steps,
          beta1,
          rest1: 1 - beta1,
          beta2,
          rest2: 1 - beta2,
          epsilon,
          keep: 1 - decay,
          pull: alpha * scale,
        },
        grid(masks),
      ),
    ];
  },
};
