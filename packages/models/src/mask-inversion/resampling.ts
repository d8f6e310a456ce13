import type { Size } from "../images/index.ts";

/** torch's bilinear interpolation (align_corners false, no antialiasing) along an axis, as a matrix [output, input]. */
export function bilinearMatrix(input: number, output: number): Float64Array {
  const matrix = new Float64Array(output * input);
  for (let i = 0; i < output; i++) {
    const position = Math.max(0, ((i + 0.5) * input) / output - 0.5);
    const low = Math.min(Math.floor(position), input - 1);
    const high = Math.min(low + 1, input - 1);
    const part = position - low;
    matrix[i * input + low] = (matrix[i * input + low] as number) + (1 - part);
    matrix[i * input + high] = (matrix[i * input + high] as number) + part;
  }
  return matrix;
}

function product(a: Float64Array, b: Float64Array, inner: number): Float64Array {
  const [rows, columns] = [a.length / inner, b.length / inner];
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const v = a[i * inner + k] as number;
      if (v === 0) continue;
      for (let j = 0; j < columns; j++) {
        out[i * columns + j] = (out[i * columns + j] as number) + v * (b[k * columns + j] as number);
      }
    }
  }
  return out;
}

function transposed(a: Float64Array, columns: number): Float64Array {
  const rows = a.length / columns;
  return a.map((_, i) => a[(i % rows) * columns + Math.floor(i / rows)] as number);
}

/** One axis of a map's way from the patches to the mask's pixels. */
export interface AxisResampling {
  readonly patches: number;
  readonly pixels: number;
  /** [pixels, patches]: upsampling by the patch size, then bilinear to the mask's size. */
  readonly forward: Float32Array;
  /** Its transpose. [patches, pixels] */
  readonly adjoint: Float32Array;
  /** Its columns' sums. [patches] */
  readonly area: Float64Array;
}

function axis(patches: number, patch: number, pixels: number): AxisResampling {
  const image = patches * patch;
  const forward = product(bilinearMatrix(image, pixels), bilinearMatrix(patches, image), image);
  const area = new Float64Array(patches);
  forward.forEach((v, i) => {
    area[i % patches] = (area[i % patches] as number) + v;
  });
  return {
    patches,
    pixels,
    forward: Float32Array.from(forward),
    adjoint: Float32Array.from(transposed(forward, patches)),
    area,
  };
}

/**
 * The two bilinear resamplings of an explainability map, one behind the other, are linear, separable and keep constants
 * (so min-max in between commutes with the second): a matrix an axis.
 */
export interface MapResampling {
  readonly rows: AxisResampling;
  readonly columns: AxisResampling;
  /** What a patch's value adds to the sum over the map. [rows · columns] */
  readonly area: Float32Array;
}

/** From `grid` patches of `patch` pixels to masks of `size`. */
export function mapResampling(
  grid: { readonly rows: number; readonly columns: number },
  patch: number,
  size: Size,
): MapResampling {
  const rows = axis(grid.rows, patch, size.height);
  const columns = axis(grid.columns, patch, size.width);
  const area = Float32Array.from(
    { length: grid.rows * grid.columns },
    (_, i) =>
      (rows.area[Math.floor(i / grid.columns)] as number) * (columns.area[i % grid.columns] as number),
  );
  return { rows, columns, area };
}
