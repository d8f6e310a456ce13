/** A column of a table on a terminal. */
export interface Column<R> {
  readonly title: string;
  cell(row: R): string;
  /** Text is aligned to the left, figures to the right. */
  readonly text?: boolean;
}

/** A line a row, the columns aligned. */
export function formatTable<R>(columns: readonly Column<R>[], rows: readonly R[]): string {
  const lines = [columns.map(({ title }) => title), ...rows.map((r) => columns.map(({ cell }) => cell(r)))];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  const align = (cell: string, i: number): string =>
    columns[i]?.text ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number);
  return lines.map((line) => line.map(align).join("  ").trimEnd()).join("\n");
}

/** Three digits. */
export function milliseconds(ms: number): string {
  return ms >= 1000 ? ms.toFixed(0) : ms.toPrecision(3);
}
