export * from "./chat-template.ts";
export * from "./errors.ts";
export * from "./generation-config.ts";
export * from "./stop-strings.ts";
export * from "./stream-decoder.ts";
export { type DecodeOptions, type EncodeOptions, Tokenizer, type TokenizerFiles } from "./tokenizer.ts";
