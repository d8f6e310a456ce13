import type { Conditions } from "./conditions.ts";

export type Field<R> = readonly [name: string, value: (row: R) => string | number | boolean | undefined];

/** A line a row, under a line of names. */
export function formatCsv<R>(fields: readonly Field<R>[], rows: readonly R[]): string {
  const lines = [
    fields.map(([name]) => name),
    ...rows.map((r) => fields.map(([, value]) => quoted(value(r)))),
  ];
  return `${lines.map((line) => line.join(",")).join("\n")}\n`;
}

/** What a run's figures depend on: the same in each row, so that files can be joined. */
export function conditionFields({ adapter, load, commit, date }: Conditions): Field<unknown>[] {
  return [
    ["adapter", () => adapter.device],
    ["driver", () => adapter.description],
    ["software", () => adapter.software],
    ["load", () => load],
    ["commit", () => commit],
    ["date", () => date],
  ];
}

function quoted(value: string | number | boolean | undefined): string {
  const text = String(value ?? "");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
