/** The command line asks for something that makes no sense. Exit code 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** The command has said what is wrong itself. */
export class ReportedFailure extends Error {
  readonly exitCode: number;

  constructor(exitCode = 1) {
    super("failed");
    this.name = "ReportedFailure";
    this.exitCode = exitCode;
  }
}

/** What went wrong, for people: no stack trace. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // a message that a library left empty says nothing; its class still does
  return error.message || error.name;
}
