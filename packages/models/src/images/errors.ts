/** Why a picture was refused; stable, so that callers can tell the cases apart. */
export type ImageErrorCode =
  | "NOT_FOUND"
  | "EMPTY"
  | "NOT_AN_IMAGE"
  | "TRUNCATED"
  | "CORRUPT"
  | "TOO_LARGE"
  | "UNSUPPORTED"
  | "BAD_PIXELS"
  | "BAD_SIZE"
  | "WRITE";

/** A picture cannot be read, resized or written. The message names the file, what was found and what was expected. */
export class ImageError extends Error {
  readonly code: ImageErrorCode;
  constructor(code: ImageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = "ImageError";
  }
}

/** A `preprocessor_config.json` does not say what a processor needs. The message names the file and the field. */
export class ProcessorConfigError extends Error {
  readonly code = "PROCESSOR_CONFIG";
  readonly file: string;
  readonly field: string;
  constructor(file: string, field: string, problem: string, options?: ErrorOptions) {
    super(`${file}: ${field ? `field '${field}': ` : ""}${problem}`, options);
    this.file = file;
    this.field = field;
    this.name = "ProcessorConfigError";
  }
}
