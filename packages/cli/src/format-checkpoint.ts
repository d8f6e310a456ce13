import { type CheckpointReport, type LoadDType, weightDTypes } from "@mask-llava/models";
import { formatBytes, formatShape } from "@mask-llava/runtime";
import { floatDTypes } from "./weight-dtype.ts";

/** A checkpoint's report for people. */
export function formatCheckpoint(report: CheckpointReport, options: { names: boolean }): string {
  const { architectures, modelType, kind, parameters, bytes, tensors, load } = report;
  const lines = [
    row("folder", report.folder),
    row("model", `${modelType}${architectures.length > 0 ? ` (${architectures.join(", ")})` : ""}`),
    row("parameters", `${count(parameters)} in ${tensors.length} tensors, ${formatBytes(bytes)}`),
  ];
  for (const [dtype, { tensors: n, parameters: p, bytes: b }] of Object.entries(report.dtypes)) {
    lines.push(row(`  ${dtype}`, `${count(p)} in ${n} tensors, ${formatBytes(b)}`));
  }
  lines.push(...sizes(report.sizes, "  "));
  if (!load) {
    lines.push(row("to be loaded", `nothing: ${JSON.stringify(kind ?? modelType)} is not supported`));
  } else {
    const { memory, context } = load;
    lines.push(row("to be loaded", `${count(load.parameters)} parameters in ${load.tensors} tensors`));
    for (const [part, n] of Object.entries(load.parts)) lines.push(row(`  ${part}`, count(n)));
    // a network without a language model has nothing to quantise
    const dtypes: LoadDType[] = ["stored", ...(context ? weightDTypes : floatDTypes)];
    for (const [i, dtype] of dtypes.filter((d) => memory[d] !== undefined).entries()) {
      const how = dtype === "stored" ? "as they are stored" : `with --dtype ${dtype}`;
      lines.push(row(i === 0 ? "GPU memory" : "", `${formatBytes(memory[dtype] as number)} ${how}`));
    }
    if (context) {
      const { f32, f16, q8 } = context.kvCache;
      lines.push(
        row("context", `${context.positions} positions; all of them take ${formatBytes(f32)} (f32),`),
        row("", `${formatBytes(f16)} (f16) or ${formatBytes(q8)} (q8) of keys and values`),
      );
    }
    if (load.ignored.length > 0) lines.push(row("ignored", load.ignored.join(", ")));
    lines.push(row("loadable", load.problems.length === 0 ? "yes" : `no: ${load.problems.length} problems`));
  }
  if (options.names) {
    lines.push("tensors");
    for (const { name, dtype, shape, file } of tensors) {
      lines.push(`  ${name}  ${dtype}${formatShape(shape)}  ${file}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** Nested sizes, one a line. */
function sizes(values: Readonly<Record<string, unknown>>, indent: string): string[] {
  return Object.entries(values).flatMap(([name, value]) =>
    typeof value === "object" && value !== null
      ? [`${indent}${name}`, ...sizes(value as Record<string, unknown>, `${indent}  `)]
      : [row(`${indent}${name}`, String(value))],
  );
}

function row(name: string, value: string): string {
  return `${name.padEnd(28)} ${value}`;
}

/** 7062902784 as 7,062,902,784. */
function count(n: number): string {
  return n.toLocaleString("en-US");
}
