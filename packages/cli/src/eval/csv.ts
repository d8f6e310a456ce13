import type { ConfigurationResult, Share } from "./tally.ts";

const head = [
  "configuration",
  "role",
  "model",
  "tokens",
  "drop_policy",
  "visual_tokens",
  "kind",
  "accuracy",
  "low",
  "high",
  "right",
  "n",
];

/** A line a configuration and kind of question; the kind `all` is all of them. RFC 4180. */
export function formatCsv(configurations: readonly ConfigurationResult[]): string {
  const rows = configurations.flatMap((c) => {
    const shares: [string, Share][] = [["all", c], ...Object.entries(c.kinds)];
    return shares.map(([kind, { accuracy, interval, right, n }]) => [
      ...[c.name, c.role, c.model, c.tokens ?? "all", c.dropPolicy ?? "", c.visualTokens],
      ...[kind, accuracy, ...interval, right, n],
    ]);
  });
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function cell(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
