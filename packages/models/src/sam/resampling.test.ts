import { describe, expect, it } from "vitest";
import { pairTable } from "./relative-positions.ts";
import { resampleGrid } from "./resample-grid.ts";

/** Linear interpolation as a matrix [to, from], row by row: each output is a tent of width 1 around its place. */
function tents(from: number, to: number): number[][] {
  return Array.from({ length: to }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    return Array.from({ length: from }, (__, j) => Math.max(0, 1 - Math.abs(j - at)));
  });
}

const noise = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898) * 2);
const dot = (a: number[], b: number[]) => a.reduce((sum, v, i) => sum + v * (b[i] as number), 0);

describe("tables of relative positions", () => {
  it("hold, where they fit, the stored row of each distance", () => {
    const [size, width] = [5, 3];
    const table = noise((2 * size - 1) * width);
    const pairs = pairTable(table, width, size);
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++)
        for (let c = 0; c < width; c++)
          expect(pairs[(i * size + j) * width + c]).toBe(table[(i - j + size - 1) * width + c]);
  });

  it.each([
    [3, 5],
    [6, 4],
    [1, 3],
    [4, 1],
    [7, 14],
  ])("are interpolated from %i places to %i", (trained, size) => {
    const width = 2;
    const table = noise((2 * trained - 1) * width);
    const pairs = pairTable(table, width, size);
    const rows = tents(2 * trained - 1, 2 * size - 1);
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++)
        for (let c = 0; c < width; c++) {
          const column = Array.from({ length: 2 * trained - 1 }, (_, k) => table[k * width + c] as number);
          const expected = dot(rows[i - j + size - 1] as number[], column);
          expect(pairs[(i * size + j) * width + c]).toBeCloseTo(expected, 5); // f32 of values up to 2
        }
  });
});

describe("position embeddings of another grid", () => {
  it.each([
    [4, 4],
    [3, 7],
    [6, 4],
    [1, 2],
    [5, 1],
  ])("%i to %i places a side", (from, to) => {
    const width = 3;
    const x = noise(from * from * width);
    const y = resampleGrid(x, from, to, width);
    const rows = tents(from, to);
    for (let i = 0; i < to; i++)
      for (let j = 0; j < to; j++)
        for (let c = 0; c < width; c++) {
          const lines = Array.from({ length: from }, (_, r) =>
            dot(
              rows[j] as number[],
              Array.from({ length: from }, (__, k) => x[(r * from + k) * width + c] as number),
            ),
          );
          expect(y[(i * to + j) * width + c]).toBeCloseTo(dot(rows[i] as number[], lines), 5); // as above
        }
  });
});
