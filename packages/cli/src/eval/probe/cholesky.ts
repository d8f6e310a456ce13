/** L with L Lᵀ = A, for a symmetric positive definite A. [n, n], row-major; what lies above the diagonal is 0. */
export function cholesky(a: Float64Array, n: number): Float64Array {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j] as number;
      for (let k = 0; k < j; k++) sum -= (l[i * n + k] as number) * (l[j * n + k] as number);
      if (i !== j) l[i * n + j] = sum / (l[j * n + j] as number);
      else if (sum > 0) l[i * n + i] = Math.sqrt(sum);
      else throw new RangeError(`cholesky: the matrix is not positive definite (pivot ${i} is ${sum})`);
    }
  }
  return l;
}

/** Solves L Lᵀ X = B in place. L [n, n]; B [n, columns] */
export function choleskySolve(l: Float64Array, b: Float64Array, n: number, columns: number): void {
  const eliminate = (i: number, k: number, factor: number) => {
    for (let c = 0; c < columns; c++)
      b[i * columns + c] = (b[i * columns + c] as number) - factor * (b[k * columns + c] as number);
  };
  const divide = (i: number) => {
    const pivot = l[i * n + i] as number;
    for (let c = 0; c < columns; c++) b[i * columns + c] = (b[i * columns + c] as number) / pivot;
  };
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) eliminate(i, k, l[i * n + k] as number);
    divide(i);
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) eliminate(i, k, l[k * n + i] as number);
    divide(i);
  }
}
