import type { Capabilities } from "../../capabilities.ts";
import { type Dispatch, dispatch, grid, kernel, read, write } from "../../kernel.ts";
import { type FloatStorage, reader } from "../../reading.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type RowNorm, type RowNormKind, storageOf } from "./rows.wgsl.ts";

interface Spec {
  readonly kind: RowNormKind;
  readonly lanes: number;
  /** Rows that share what is loaded of weight and bias. */
  readonly rows: number;
  readonly weight: FloatStorage;
  readonly bias: FloatStorage | undefined;
}

/**
 * A subgroup, which is the workgroup, for one row or four: each row is read twice, and weight and bias once for all of
 * them. Mean and variance come from one pass by Welford's updates, which lose nothing where the mean is large, and the
 * lanes' are merged as Chan et al. 1979 do. No barrier and no workgroup memory.
 */
function lanesKernel({ kind, lanes, rows, weight, bias }: Spec) {
  const w = reader("weight", weight, true);
  const b = bias && reader("bias", bias, true);
  const each = (code: (row: number) => string) => [...Array(rows).keys()].map(code).join("\n");
  return kernel({
    name: `${kind}-norm-lanes-${lanes}x${rows}`,
    bindings: { x: read("vec4<f32>"), weight: w.decl, bias: b?.decl, y: write("vec4<f32>") },
    uniforms: { rows: "u32", items: "u32", eps: "f32" },
    enable: ["subgroups"],
    code: wgsl`
${w.code}
${b?.code ?? ""}
struct Row { mean: f32, scale: f32 }
#if ${kind === "layer"}
/** Of a lane's four sequences of \`n\` values each, with their means and sums of squared differences. */
fn merged(n: f32, means: vec4<f32>, squares: vec4<f32>) -> Row {
  let width = f32(4u * u.items);
  let mine = dot(means, vec4<f32>(0.25));
  let mean = subgroupAdd(4.0 * n * mine) / width;
  let apart = means - mean;
  let rest = dot(squares, vec4<f32>(1.0)) + n * dot(apart, apart);
  return Row(mean, inverseSqrt(subgroupAdd(rest) / width + u.eps));
}
#else
fn merged(squares: vec4<f32>) -> Row {
  return Row(0.0, inverseSqrt(subgroupAdd(dot(squares, vec4<f32>(1.0))) / f32(4u * u.items) + u.eps));
}
#endif
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(subgroup_invocation_id) lane: u32) {
  let row0 = flat_workgroup(wid, nwg) * ${rows}u;
  if (row0 >= u.rows) { return; }
${each((r) => `  let base${r} = min(row0 + ${r}u, u.rows - 1u) * u.items;\n  var squares${r} = vec4<f32>(0.0);`)}
#if ${kind === "layer"}
${each((r) => `  var mean${r} = vec4<f32>(0.0);`)}
  var n = 0.0;
  for (var i = lane; i < u.items; i += ${lanes}u) {
    n += 1.0;
    let share = 1.0 / n;
${each((r) => `    { let v = x[base${r} + i]; let d = v - mean${r}; mean${r} += d * share; squares${r} += d * (v - mean${r}); }`)}
  }
${each((r) => `  let stats${r} = merged(n, mean${r}, squares${r});`)}
#else
  for (var i = lane; i < u.items; i += ${lanes}u) {
${each((r) => `    { let v = x[base${r} + i]; squares${r} += v * v; }`)}
  }
${each((r) => `  let stats${r} = merged(squares${r});`)}
#endif
  for (var i = lane; i < u.items; i += ${lanes}u) {
    let gain = load4_weight(i);
#if ${b !== undefined}
    let shift = load4_bias(i);
#else
    let shift = vec4<f32>(0.0);
#endif
${each((r) => `    if (row0 + ${r}u < u.rows) { y[base${r} + i] = (x[base${r} + i] - stats${r}.mean) * stats${r}.scale * gain + shift; }`)}
  }
}`,
  });
}

/** For subgroups of one size and rows of whole vec4s. */
export function lanesFit(width: number, { subgroups, subgroupSize }: Capabilities): boolean {
  return width % 4 === 0 && subgroups && subgroupSize >= 4 && subgroupSize <= 128;
}

/** Where subgroups are small, as those of software adapters, which run barriers slowly. */
export function lanesPreferred({ subgroupSize }: Capabilities): boolean {
  return subgroupSize === 4 || subgroupSize === 8;
}

/** The dispatches of a row normalisation by lanes. */
export function lanesNorm(norm: Omit<RowNorm, "grouped">, caps: Capabilities): Dispatch[] {
  const { kind, x, y, rows, width, eps, weight, bias } = norm;
  const atOnce = rows >= 8 ? 4 : 1;
  const compiled = lanesKernel({
    kind,
    lanes: caps.subgroupSize,
    rows: atOnce,
    weight: storageOf(weight),
    bias: bias && storageOf(bias),
  });
  const parts = { x: { tensor: x, width }, y: { tensor: y, width } };
  return rowWindows(rows, Object.values(parts), caps).map((w) =>
    dispatch(
      compiled,
      { x: rowsOf(parts.x, w), y: rowsOf(parts.y, w), weight, bias },
      { rows: w.count, items: width / 4, eps },
      grid(w.count, atOnce),
    ),
  );
}
