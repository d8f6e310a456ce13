/**
 * The self-test's kernels. They are written out here instead of being taken from the runtime's ops, so that a failure
 * tells of the driver and not of an op. Bindings: inputs first, then outputs, each `array<f32>`.
 */

/** c [M, N] = a [M, K] x b [K, N], in tiles of 8x8 through workgroup memory. */
export function matmulSource(m: number, k: number, n: number): string {
  return `
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
var<workgroup> tile_a: array<f32, 64>;
var<workgroup> tile_b: array<f32, 64>;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) global: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = global.y;
  let column = global.x;
  let slot = local.y * 8u + local.x;
  var sum = 0.0;
  for (var start = 0u; start < ${k}u; start += 8u) {
    let from_a = start + local.x;
    let from_b = start + local.y;
    tile_a[slot] = 0.0;
    tile_b[slot] = 0.0;
    if (row < ${m}u && from_a < ${k}u) { tile_a[slot] = a[row * ${k}u + from_a]; }
    if (column < ${n}u && from_b < ${k}u) { tile_b[slot] = b[from_b * ${n}u + column]; }
    workgroupBarrier();
    for (var i = 0u; i < 8u; i++) { sum += tile_a[local.y * 8u + i] * tile_b[i * 8u + local.x]; }
    workgroupBarrier();
  }
  if (row < ${m}u && column < ${n}u) { c[row * ${n}u + column] = sum; }
}`;
}

/** c = a * b, computed in f16. */
export function f16Source(count: number): string {
  return `
enable f16;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) global: vec3u) {
  if (global.x < ${count}u) { c[global.x] = f32(f16(a[global.x]) * f16(b[global.x])); }
}`;
}

/** sums: of x over each lane's subgroup; leaders: the position of its first lane, which names the subgroup. */
export function subgroupSource(): string {
  return `
enable subgroups;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> leaders: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) global: vec3u) {
  let i = global.x;
  sums[i] = subgroupAdd(x[i]);
  leaders[i] = f32(subgroupBroadcastFirst(i));
}`;
}
