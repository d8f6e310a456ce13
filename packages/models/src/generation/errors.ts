import { RuntimeError } from "@mask-llava/runtime";

/** A prompt that does not fit the model's context, or is empty. Lengths in tokens. */
export class PromptError extends RuntimeError {
  constructor(message: string) {
    super("PROMPT", message);
  }
}
