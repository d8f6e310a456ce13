import { RuntimeError } from "@mask-llava/runtime";

/** A tokenizer file is absent, malformed, or asks for something that is not computed exactly here. */
export class TokenizerError extends RuntimeError {
  readonly file: string;
  constructor(file: string, message: string, options?: ErrorOptions) {
    super("TOKENIZER", `${file}: ${message}`, options);
    this.file = file;
  }
}

/** A chat template is malformed, raises an exception, takes too long, or needs too much memory. */
export class ChatTemplateError extends RuntimeError {
  constructor(message: string, options?: ErrorOptions) {
    super("CHAT_TEMPLATE", `chat template: ${message}`, options);
  }
}
