/** Rows of A that a subgroup may take at once. */
export const subgroupRows = [32, 16, 8] as const;

export type SubgroupRows = (typeof subgroupRows)[number];

/** GFLOP/s of large products on lavapipe by rows a subgroup: more rows share a load of B (bench/notes/matmul.md). */
const rates: Readonly<Record<SubgroupRows, number>> = { 32: 36, 16: 30, 8: 20 };

/** Those of `offered` with which `m` rows are done first: rows that only fill the last subgroup take their time too. */
export function fastestRows(m: number, offered: readonly SubgroupRows[] = subgroupRows): SubgroupRows {
  const time = (rows: SubgroupRows) => (Math.ceil(m / rows) * rows) / rates[rows];
  return offered.reduce((best, rows) => (time(rows) < time(best) ? rows : best));
}
