import type { Share } from "./share.ts";
import type { ConfigurationResult, YesNoShare } from "./tally.ts";

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
  "yes_ratio",
  "precision",
  "recall",
  "f1",
];

/**
 * A line a configuration and kind of question; the kind `all` is all of them, and kinds such as `existence/random` are parts by
 * kind of negative. RFC 4180.
 */
export function formatCsv(configurations: readonly ConfigurationResult[]): string {
  const rows = configurations.flatMap((c) => {
    const negatives = Object.entries(c.negatives ?? {}).map(
      ([negative, share]) => [`existence/${negative}`, share] as const,
    );
    const shares: (readonly [string, Share | YesNoShare])[] = [
      ["all", c],
      ...Object.entries(c.kinds),
      ...negatives,
    ];
    return shares.map(([kind, share]) => {
      const { accuracy, interval, right, n } = share;
      const yesNo =
        "yesRatio" in share ? [share.yesRatio, share.precision, share.recall, share.f1] : ["", "", "", ""];
      return [
        ...[c.name, c.role, c.model, c.tokens ?? "all", c.dropPolicy ?? "", c.visualTokens],
        ...[kind, accuracy, ...interval, right, n, ...yesNo],
      ];
    });
  });
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function cell(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
