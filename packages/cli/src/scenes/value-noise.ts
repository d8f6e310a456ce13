import type { SceneRandom } from "./random.ts";

/**
 * Smooth noise over a square of side `size` (value noise: random values on a lattice, smoothly interpolated), summed over
 * octaves of half the cell and half the height. Roughly within ±1.
 */
export function valueNoise(random: SceneRandom, size: number, cell: number, octaves: number): Float64Array {
  const sum = new Float64Array(size * size);
  for (let octave = 0, step = cell, height = 1; octave < octaves; octave++, step /= 2, height /= 2) {
    addOctave(sum, random, size, Math.max(1, step), height);
  }
  return sum;
}

function addOctave(sum: Float64Array, random: SceneRandom, size: number, step: number, height: number): void {
  const cells = Math.ceil(size / step) + 2;
  const lattice = Float64Array.from({ length: cells * cells }, () => random.uniform(-height, height));
  const axis = Array.from({ length: size }, (_, i) => {
    const cell = Math.floor(i / step);
    const t = i / step - cell;
    return { cell, t: t * t * (3 - 2 * t) };
  });
  for (const [y, row] of axis.entries()) {
    for (const [x, column] of axis.entries()) {
      const at = row.cell * cells + column.cell;
      const top = mix(lattice[at], lattice[at + 1], column.t);
      const bottom = mix(lattice[at + cells], lattice[at + cells + 1], column.t);
      sum[y * size + x] = (sum[y * size + x] as number) + mix(top, bottom, row.t);
    }
  }
}

function mix(a: number | undefined, b: number | undefined, t: number): number {
  return (a ?? 0) + ((b ?? 0) - (a ?? 0)) * t;
}
