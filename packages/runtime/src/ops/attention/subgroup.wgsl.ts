import { dispatch, kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import {
  batchWindows,
  type CommonSpec,
  commonBindings,
  commonCode,
  commonEnable,
  commonSpec,
  commonUniforms,
  outputBinding,
  readsKeys,
  storeCode,
} from "./common.wgsl.ts";
import type { KeyStorage } from "./key-reading.ts";
import { type AttentionInputs, type AttentionParams, attentionShape } from "./spec.ts";

interface Spec extends CommonSpec {
  readonly lanes: number;
  readonly rows: number;
}

const components = ["x", "y", "z", "w"] as const;

/** `count` lines of WGSL. */
function lines(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

/** Vec4 accumulators that a lane keeps for outputs; more of them make fewer loads and a longer compile. */
const accumulators = 16;

function rowsFor(quads: number, lanes: number): number {
  const columns = Math.ceil(quads / lanes);
  return Math.max(2, Math.min(16, 2 ** Math.floor(Math.log2(accumulators / columns))));
}

/**
 * A workgroup is one subgroup and computes `rows` rows over tiles of 4 keys a lane. Scores: each lane loads vec4s of its
 * 4 keys, transposes them between registers, and of rows / S queries, which subgroupBroadcast hands to all. Outputs: each
 * lane owns every S-th vec4 of the head, and takes the probabilities of 4 keys at a time from the lane that has them.
 * Rows are unrolled, as scores and sums have to stay in registers; loops that load are rolled, as load sites cost compile
 * time. For software adapters, where a load costs as much as tens of multiply-adds and a barrier much more.
 */
function subgroupKernel(spec: Spec) {
  const { lanes, rows, quads, causal, bias, relative } = spec;
  const columns = Math.ceil(quads / lanes);
  const queries = Math.ceil(rows / lanes);
  const keys = 4 * lanes;
  return kernel({
    name: `attention-subgroup-${rows}x${keys}-${spec.storage}`,
    bindings: { ...commonBindings(spec), y: outputBinding(spec) },
    uniforms: { ...commonUniforms, rows: "u32", four: "u32" },
    enable: ["subgroups", ...commonEnable(spec)],
    code: wgsl`
${commonCode(spec)}
${storeCode(spec)}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let b = wid.z;
  let row0 = wid.x * ${rows}u;
  let last_row = min(row0 + ${rows}u, u.tq * u.group) - 1u;
  let end = visible(b, query_of(last_row));
${lines(queries, (i) => `let q_row${i} = q_at(b, wid.y, min(row0 + ${i * lanes}u + lane, last_row));`)}
${lines(rows, (r) => `let limit${r} = ${causal ? `visible(b, query_of(min(row0 + ${r}u, last_row)))` : "end"};`)}
${lines(rows, (r) => `var m${r} = masked; var total${r} = 0.0;`)}
${lines(rows * columns, (i) => `var o${Math.floor(i / columns)}_${i % columns} = vec4<f32>();`)}
  for (var j0 = 0u; j0 < end; j0 += ${keys}u) {
    let key = vec4u(j0 + lane * 4u) + vec4u(0u, 1u, 2u, 3u);
    let at = min(key, vec4u(end - 1u));
${lines(4, (e) => `let k_row${e} = k_at(b, wid.y, at.${components[e]});`)}
${lines(rows, (r) => `var s${r} = vec4<f32>();`)}
    for (var c = 0u; c < u.quads; c++) {
${lines(queries, (i) => `let q${i} = q_quad(q_row${i}, c);`)}
${lines(4, (e) => `let k${e} = k_quad(k_row${e}, c);`)}
${lines(4, (j) => `let t${j} = vec4<f32>(${[0, 1, 2, 3].map((e) => `k${e}.${components[j]}`).join(", ")});`)}
${lines(rows, (r) => {
  const sum = components.map((c, j) => `s${r} += r${r}.${c} * t${j};`).join(" ");
  return `let r${r} = subgroupBroadcast(q${Math.floor(r / lanes)}, ${r % lanes}u); ${sum}`;
})}
    }
#if ${bias || relative}
    for (var r = 0u; r < u.rows; r++) {
      var scored = s0;
      for (var e = 0u; e < u.four; e++) {
        let next = score(scored.x, b, wid.y, min(row0 + r, last_row), min(key.x + e, end - 1u));
        scored = vec4<f32>(scored.yzw, next);
      }
${lines(rows - 1, (r) => `s${r} = s${r + 1};`)}
      s${rows - 1} = scored;
    }
#else
${lines(rows, (r) => `s${r} *= u.scale;`)}
#endif
${lines(rows, (r) => {
  const rescale = Array.from({ length: columns }, (_, n) => `o${r}_${n} *= decay${r};`).join(" ");
  return `
    s${r} = select(vec4<f32>(masked), s${r}, key < vec4u(limit${r}));
    let next${r} = max(m${r}, subgroupMax(max(max(s${r}.x, s${r}.y), max(s${r}.z, s${r}.w))));
    let decay${r} = exp(m${r} - next${r});
    var p${r} = select(exp(s${r} - next${r}), vec4<f32>(), s${r} <= vec4<f32>(masked));
    m${r} = next${r};
    total${r} = total${r} * decay${r} + p${r}.x + p${r}.y + p${r}.z + p${r}.w;
    ${rescale}`;
})}
    for (var e = 0u; e < u.four; e++) {
      for (var source = 0u; source < min(${lanes}u, (end - j0 + 3u - e) / 4u); source++) {
        let v_row = k_at(b, wid.y, j0 + source * 4u + e);
${lines(columns, (n) => `let v${n} = v_quad(v_row, min(${n * lanes}u + lane, u.quads - 1u));`)}
${lines(rows, (r) => {
  const sums = Array.from({ length: columns }, (_, n) => `o${r}_${n} += w${r} * v${n};`).join(" ");
  return `let w${r} = subgroupShuffle(p${r}.x, source); ${sums}`;
})}
      }
${lines(rows, (r) => `p${r} = p${r}.yzwx;`)}
    }
  }
  for (var row = row0; row <= last_row; row++) {
    let at = q_at(b, wid.y, row);
    let sum = subgroupAdd(total0);
${lines(columns, (n) => `if (${n * lanes}u + lane < u.quads) { store_quad(at, ${n * lanes}u + lane, select(o0_${n} / sum, vec4<f32>(), sum == 0.0)); }`)}
${lines(rows - 1, (r) => {
  const shift = Array.from({ length: columns }, (_, n) => `o${r}_${n} = o${r + 1}_${n};`).join(" ");
  return `total${r} = total${r + 1}; ${shift}`;
})}
  }
}`,
  });
}

/** For fixed subgroups of 4 or 8 lanes: those of software adapters. */
export function subgroupVariant(storage: KeyStorage): Variant<AttentionInputs, AttentionParams> {
  return {
    name: `subgroup-${storage}`,
    supports: (inputs, _, caps) =>
      caps.subgroups &&
      (caps.subgroupSize === 4 || caps.subgroupSize === 8) &&
      readsKeys(storage, inputs, caps),
    prefers(inputs, params, caps) {
      const { tq, group } = attentionShape(inputs, params);
      // with 4 lanes a few rows are better off with whole heads a subgroup: 1.3-2 times the speed when decoding
      return caps.subgroupSize === 8 || tq * group > 8;
    },
    build({ inputs, outputs, params, caps }) {
      const y = outputs[0] as Tensor;
      const { tq, group, kvHeads } = attentionShape(inputs, params);
      const common = commonSpec(storage, inputs, params);
      const lanes = caps.subgroupSize;
      const rows = rowsFor(common.quads, lanes);
      const compiled = subgroupKernel({ ...common, lanes, rows });
      return batchWindows(inputs, params, [y], caps).map((w) =>
        dispatch(compiled, { ...w.tensors, y: w.windowOf(y) }, { ...w.uniforms, rows, four: 4 }, [
          Math.ceil((tq * group) / rows),
          kvHeads,
          w.batch,
        ]),
      );
    },
  };
}
