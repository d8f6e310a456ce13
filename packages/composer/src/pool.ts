import type { Grid, PatchLayout } from "./visual-tokens.ts";
import { gridSize, patchCount } from "./visual-tokens.ts";

/** Bin `i` of `bins` over `size` places, as adaptive average pooling has it: [start, end). */
function bin(i: number, bins: number, size: number): [number, number] {
  return [Math.floor((i * size) / bins), Math.ceil(((i + 1) * size) / bins)];
}

/**
 * Average pooling of patch tokens as a matrix P: pooled = P · patches, so that one product serves any layout. The bins are
 * those of adaptive average pooling; a layout may have another number of them in each row.
 * @param grid of the patch tokens
 * @returns [bins, rows · columns], row-major
 */
export function poolingMatrix(layout: PatchLayout, grid: Grid): Float32Array {
  const patches = gridSize(grid);
  const matrix = new Float32Array(patchCount(layout) * patches);
  let token = 0;
  layout.forEach((columns, row) => {
    const [top, bottom] = bin(row, layout.length, grid.rows);
    for (let column = 0; column < columns; column++, token++) {
      const [left, right] = bin(column, columns, grid.columns);
      const weight = 1 / ((bottom - top) * (right - left));
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) matrix[token * patches + y * grid.columns + x] = weight;
      }
    }
  });
  return matrix;
}
