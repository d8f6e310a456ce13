/** Sums of entries by their part, in the order in which parts come first. */
export function sumParts(entries) {
  const rows = new Map();
  for (const { part, data } of entries) {
    const row = rows.get(part) ?? { part, files: 0, bytes: 0, packed: 0 };
    rows.set(part, { ...row, files: row.files + 1, bytes: row.bytes + data.length });
  }
  return [...rows.values()];
}

/** A line a part: files, size, and about how much of the archive it takes, where there is one. */
export function formatParts(rows) {
  const width = Math.max(...rows.map(({ part }) => part.length));
  return rows
    .map(({ part, files, bytes, packed }) => {
      const share = packed === 0 ? "" : `  ~${formatMebibytes(packed).padStart(9)} packed`;
      const count = `${files} file${files === 1 ? "" : "s"}`;
      return `  ${part.padEnd(width)}  ${formatMebibytes(bytes).padStart(10)}${share}  ${count}\n`;
    })
    .join("");
}

export function formatMebibytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 2 : 1)} MiB`;
}
