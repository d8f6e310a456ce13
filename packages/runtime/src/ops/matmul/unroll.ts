/** `count` lines of WGSL, one for each index: a loop unrolled in the source, so that its variables stay registers. */
export function unroll(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}
