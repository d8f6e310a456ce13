import { matmul, permute, type Recorder, type Tensor } from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";

/**
 * A table of embeddings of distances, [L, d], as one of pairs of places, [size, size, d]: (i, j) has the row of distance
 * i - j. A table for another size is interpolated linearly to 2·size - 1 distances, as `get_rel_pos` in transformers.
 */
export function pairTable(table: Float32Array, width: number, size: number): Float32Array {
  const stored = table.length / width;
  const distances = 2 * size - 1;
  const out = new Float32Array(size * size * width);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      // half-pixel centres, as torch.nn.functional.interpolate(mode="linear"); exact where the sizes are equal
      const at = Math.max(0, ((i - j + size - 0.5) * stored) / distances - 0.5);
      const low = Math.min(Math.floor(at), stored - 1);
      const high = Math.min(low + 1, stored - 1);
      for (let c = 0; c < width; c++) {
        const [a, b] = [table[low * width + c] as number, table[high * width + c] as number];
        out[(i * size + j) * width + c] = a + (at - low) * (b - a);
      }
    }
  }
  return out;
}

/** Decomposed relative positions (Li et al. 2022, MViTv2, eq. 4) of a square grid, as SAM's encoder has them. */
export class RelativePositions {
  readonly rows: Tensor; // [n, n, d]
  readonly columns: Tensor; // [n, n, d]

  /**
   * Takes `rel_pos_h` and `rel_pos_w` [2·trained - 1, d].
   * @param size places a side
   * @param trained the size that the tables are stored for
   */
  constructor(w: Weights, width: number, size: number, trained: number) {
    const load = (name: string): Tensor =>
      w.derive({
        label: `${name} of pairs`,
        shape: [size, size, width],
        dtype: "f32",
        from: { table: { name, shape: [2 * trained - 1, width] } },
        compute: ({ table }) => pairTable(table as Float32Array, width, size),
      });
    this.rows = load("rel_pos_h");
    this.columns = load("rel_pos_w");
  }

  /** What each query adds to the scores of a row and of a column of keys: q [B, n, n, H, d] -> [B, H, n·n, n] each. */
  forward(cmd: Recorder, q: Tensor): { relH: Tensor; relW: Tensor } {
    const [batch, size, , heads, width] = q.shape as [number, number, number, number, number];
    const along = (table: Tensor, to: readonly number[], back: readonly number[]): Tensor => {
      const lines = permute(cmd, q, to).reshape([size, batch * heads * size, width]); // [n, B·H·n, d]
      const terms = matmul(cmd, lines, table, { transposeB: true }); // [n, B·H·n, n]
      const apart = terms.reshape([size, batch, heads, size, size]); // [n, B, H, n, n]
      return permute(cmd, apart, back).reshape([batch, heads, size * size, size]); // [B, H, n·n, n]
    };
    return {
      relH: along(this.rows, [1, 0, 3, 2, 4], [1, 2, 0, 3, 4]), // a query's row with the keys' rows
      relW: along(this.columns, [2, 0, 3, 1, 4], [1, 2, 3, 0, 4]), // its column with the keys' columns
    };
  }
}
