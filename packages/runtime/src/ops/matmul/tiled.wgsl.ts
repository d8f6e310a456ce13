import { type Activation, activationWgsl } from "../../activation.ts";
import { type Dispatch, dispatch, kernel, read, type TensorWindow, write } from "../../kernel.ts";
import type { BuildContext, Variant } from "../../op.ts";
import { type FloatStorage, floatStorages, reader } from "../../reading.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";

/** A workgroup's tile: TM x TN outputs a thread, 8 x 8 threads, K in steps of `k`. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly k: number;
}

const threads = 8;

interface Spec {
  readonly storage: FloatStorage;
  readonly transposeB: boolean;
  readonly activation: Activation;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly tile: Tile;
}

function tiledKernel({ storage, transposeB, activation, bias, residual, tile }: Spec) {
  const b = reader("b", storage, false);
  const tm = tile.rows / threads;
  const tn = tile.columns / threads;
  const loadsA = (tile.rows * tile.k) / (threads * threads);
  const loadsB = (tile.columns * tile.k) / (threads * threads);
  return kernel({
    name: `matmul-tiled-${tile.rows}x${tile.columns}-${storage}`,
    bindings: {
      a: read("f32"),
      b: b.decl,
      y: write("f32"),
      bias: bias ? read("f32") : undefined,
      residual: residual ? read("f32") : undefined,
    },
    uniforms: { m: "u32", n: "u32", k: "u32", columns: "u32", column0: "u32", strideB: "u32", scale: "f32" },
    enable: b.enable,
    code: wgsl`
var<workgroup> a_tile: array<f32, ${tile.rows * tile.k}>;
var<workgroup> b_tile: array<f32, ${tile.columns * tile.k}>;
${b.code}
${activationWgsl(activation)}
@compute @workgroup_size(${threads}, ${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let row0 = wid.y * ${tile.rows}u;
  let col0 = wid.x * ${tile.columns}u;
  let a_base = wid.z * u.m * u.k;
  let b_base = wid.z * u.strideB;
  var sums: array<array<f32, ${tn}>, ${tm}>;
  for (var k0 = 0u; k0 < u.k; k0 += ${tile.k}u) {
    for (var s = 0u; s < ${loadsA}u; s++) {
      let i = s * ${threads * threads}u + li;
      let r = i / ${tile.k}u;
      let c = i % ${tile.k}u;
      var v = 0.0;
      if (row0 + r < u.m && k0 + c < u.k) { v = a[a_base + (row0 + r) * u.k + k0 + c]; }
      a_tile[c * ${tile.rows}u + r] = v;
    }
    for (var s = 0u; s < ${loadsB}u; s++) {
      let i = s * ${threads * threads}u + li;
#if ${transposeB}
      let r = i / ${tile.k}u;
      let c = i % ${tile.k}u;
#else
      let r = i % ${tile.columns}u;
      let c = i / ${tile.columns}u;
#endif
      var v = 0.0;
      if (col0 + r < u.columns && k0 + c < u.k) {
#if ${transposeB}
        v = load_b(b_base + (col0 + r) * u.k + k0 + c);
#else
        v = load_b(b_base + (k0 + c) * u.n + u.column0 + col0 + r);
#endif
      }
      b_tile[c * ${tile.columns}u + r] = v;
    }
    workgroupBarrier();
    for (var kk = 0u; kk < ${tile.k}u; kk++) {
      var av: array<f32, ${tm}>;
      for (var i = 0u; i < ${tm}u; i++) { av[i] = a_tile[kk * ${tile.rows}u + i * ${threads}u + lid.y]; }
      for (var j = 0u; j < ${tn}u; j++) {
        let bv = b_tile[kk * ${tile.columns}u + j * ${threads}u + lid.x];
        for (var i = 0u; i < ${tm}u; i++) { sums[i][j] += av[i] * bv; }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < ${tm}u; i++) {
    let row = row0 + i * ${threads}u + lid.y;
    for (var j = 0u; j < ${tn}u; j++) {
      let col = col0 + j * ${threads}u + lid.x;
      if (row < u.m && col < u.columns) {
        let at = (wid.z * u.m + row) * u.n + u.column0 + col;
        var v = u.scale * sums[i][j];
#if ${bias}
        v += bias[u.column0 + col];
#endif
        v = activate(v);
#if ${residual}
        v += residual[at];
#endif
        y[at] = v;
      }
    }
  }
}`,
  });
}

function buildTiled(
  storage: FloatStorage,
  tile: Tile,
  context: BuildContext<MatmulInputs, MatmulParams>,
): Dispatch[] {
  const { inputs, outputs, params, caps } = context;
  const { a, b, bias, residual } = inputs;
  const { transposeB, activation, scale } = params;
  const y = outputs[0] as Tensor;
  const { batch, m, n, k, batchedB } = matmulShape(inputs, params);
  const spec = { storage, transposeB, activation, bias: !!bias, residual: !!residual, tile };
  const compiled = tiledKernel(spec);
  const emit = (
    rows: number,
    window: { start: number; count: number },
    bound: Record<string, Tensor | TensorWindow>,
  ) =>
    dispatch(
      compiled,
      { y, a, b, bias, residual, ...bound },
      { m: rows, n, k, columns: window.count, column0: window.start, strideB: batchedB ? n * k : 0, scale },
      [Math.ceil(window.count / tile.columns), Math.ceil(rows / tile.rows), batch],
    );
  if (batchedB || !transposeB) return [emit(m, { start: 0, count: n }, {})];
  // one B for all rows: windows of rows of activations, and of rows of weights
  const weight = { tensor: b, width: k };
  const rowParts = {
    a: { tensor: a, width: k },
    y: { tensor: y, width: n },
    ...(residual ? { residual: { tensor: residual, width: n } } : {}),
  };
  const dispatches: Dispatch[] = [];
  for (const rows of rowWindows(m, Object.values(rowParts), caps)) {
    const bound = Object.fromEntries(
      Object.entries(rowParts).map(([name, part]) => [name, rowsOf(part, rows)]),
    );
    for (const columns of rowWindows(n, [weight], caps))
      dispatches.push(emit(rows.count, columns, { ...bound, b: rowsOf(weight, columns) }));
  }
  return dispatches;
}

function tiledVariant(
  storage: FloatStorage,
  tile: Tile,
  preferred: (m: number, n: number) => boolean,
): Variant<MatmulInputs, MatmulParams> {
  return {
    name: `tiled-${tile.rows}x${tile.columns}-${storage}`,
    supports(inputs, params, caps) {
      const { m, n } = matmulShape(inputs, params);
      return floatStorages(inputs.b.dtype, caps).includes(storage) && preferred(m, n);
    },
    build: (context) => buildTiled(storage, tile, context),
  };
}

const storages: FloatStorage[] = ["f32", "f16", "packed"];

/** Workgroup-memory tiles: correct for every shape; the small tile for thin products, where a large one is mostly edge. */
export const tiledVariants: readonly Variant<MatmulInputs, MatmulParams>[] = storages.flatMap((storage) => [
  tiledVariant(storage, { rows: 32, columns: 32, k: 16 }, (m, n) => m > 8 && n > 8),
  tiledVariant(storage, { rows: 8, columns: 32, k: 32 }, () => true),
]);
