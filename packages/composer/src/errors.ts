import { RuntimeError } from "@mask-llava/runtime";

/** A composition that cannot be made: a budget that does not fit, sub-checkpoints that do not belong together. */
export class ComposeError extends RuntimeError {
  constructor(message: string, options?: ErrorOptions) {
    super("COMPOSE", message, options);
  }
}
