/** `tree_sum(v, li)`: the sum of a workgroup's values, for all of it; `li` is the thread's index. In uniform control flow. */
export function treeSum(threads: number): string {
  return `
var<workgroup> partial: array<vec4<f32>, ${threads}>;
fn tree_sum(v: vec4<f32>, li: u32) -> vec4<f32> {
  partial[li] = v;
  workgroupBarrier();
  for (var n = ${threads / 2}u; n > 0u; n /= 2u) {
    if (li < n) { partial[li] += partial[li + n]; }
    workgroupBarrier();
  }
  let sum = partial[0];
  workgroupBarrier();
  return sum;
}`;
}
