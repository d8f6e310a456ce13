import { RuntimeError } from "@mask-llava/runtime";

/** What is wrong with a prompt. */
export interface SamPromptIssue {
  /** Index of the prompt; undefined where the prompts as a whole are at fault. */
  readonly prompt: number | undefined;
  /** `boxes`, `points`, `maskInput`. */
  readonly field: string;
  readonly found: string;
  readonly expected: string;
}

/** A prompt that the segmenter cannot take. */
export class SamPromptError extends RuntimeError implements SamPromptIssue {
  readonly prompt: number | undefined;
  readonly field: string;
  readonly found: string;
  readonly expected: string;

  constructor({ prompt, field, found, expected }: SamPromptIssue) {
    const where = prompt === undefined ? field : `${field}: prompt ${prompt}`;
    super("PROMPT", `${where}: found ${found}, expected ${expected}`);
    this.prompt = prompt;
    this.field = field;
    this.found = found;
    this.expected = expected;
  }
}
