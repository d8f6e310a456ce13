/** A square map of rows, [from, from, width] -> [to, to, width]: bilinear, half-pixel centres, edges repeated. */
export function resampleGrid(x: Float32Array, from: number, to: number, width: number): Float32Array {
  const out = new Float32Array(to * to * width);
  const taps = Array.from({ length: to }, (_, i) => {
    const at = Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const low = Math.min(Math.floor(at), from - 1);
    return { low, high: Math.min(low + 1, from - 1), part: at - low };
  });
  for (const [i, row] of taps.entries()) {
    for (const [j, column] of taps.entries()) {
      for (let c = 0; c < width; c++) {
        const value = (y: number, z: number) => x[(y * from + z) * width + c] as number;
        const along = (y: number) =>
          value(y, column.low) + column.part * (value(y, column.high) - value(y, column.low));
        const top = along(row.low);
        out[(i * to + j) * width + c] = top + row.part * (along(row.high) - top);
      }
    }
  }
  return out;
}
