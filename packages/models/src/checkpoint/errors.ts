import { RuntimeError } from "@mask-llava/runtime";

/** Where in a checkpoint something is wrong, and how. */
export interface CheckpointIssue {
  /** File within the checkpoint folder, e.g. `model-00001-of-00002.safetensors`. */
  readonly file: string;
  /** Tensor name, where one tensor is at fault. */
  readonly tensor?: string | undefined;
  readonly found?: string | undefined;
  readonly expected?: string | undefined;
}

/** A checkpoint's files are absent, malformed, or do not hold the tensors that the network needs. */
export class CheckpointError extends RuntimeError implements CheckpointIssue {
  readonly file: string;
  readonly tensor: string | undefined;
  readonly found: string | undefined;
  readonly expected: string | undefined;

  constructor(message: string, issue: CheckpointIssue, options?: ErrorOptions) {
    const where =
      issue.tensor === undefined ? issue.file : `${issue.file}: tensor ${JSON.stringify(issue.tensor)}`;
    const details = [
      ...(issue.found === undefined ? [] : [`found ${issue.found}`]),
      ...(issue.expected === undefined ? [] : [`expected ${issue.expected}`]),
    ];
    super("CHECKPOINT", `${where}: ${message}${details.length ? ` (${details.join(", ")})` : ""}`, options);
    this.file = issue.file;
    this.tensor = issue.tensor;
    this.found = issue.found;
    this.expected = issue.expected;
  }
}

/** A field of a JSON configuration file is absent or has a value that is not supported. */
export class ConfigError extends RuntimeError {
  readonly file: string;
  /** Path of the field, e.g. `text_config.hidden_size`; empty for the file as a whole. */
  readonly field: string;
  readonly found: string | undefined;
  readonly expected: string | undefined;

  constructor(
    file: string,
    field: string,
    message: string,
    details: { found?: string | undefined; expected?: string | undefined } = {},
    options?: ErrorOptions,
  ) {
    const parts = [
      ...(details.found === undefined ? [] : [`found ${details.found}`]),
      ...(details.expected === undefined ? [] : [`expected ${details.expected}`]),
    ];
    super(
      "CONFIG",
      `${file}: ${field ? `${field}: ` : ""}${message}${parts.length ? ` (${parts.join(", ")})` : ""}`,
      options,
    );
    this.file = file;
    this.field = field;
    this.found = details.found;
    this.expected = details.expected;
  }
}

/** A value as it may stand in an error message: JSON, cut where long. */
export function describe(value: unknown, limit = 80): string {
  if (value === undefined) return "nothing";
  const text = typeof value === "bigint" ? value.toString() : (JSON.stringify(value) ?? String(value));
  return text.length <= limit ? text : `${text.slice(0, limit)}…`;
}
