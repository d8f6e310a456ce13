export {
  type ChatMessage,
  type ChatPart,
  ChatTemplate,
  InlineTemplateRenderer,
  renderTemplate,
  type TemplateContext,
  type TemplateRenderer,
  vicunaPrompt,
} from "./chat-template.ts";
export { ChatTemplateError, TokenizerError } from "./errors.ts";
export {
  type GenerationOptions,
  type GenerationSettings,
  generationSettings,
  loadGenerationSettings,
  newTokenLimit,
} from "./generation-config.ts";
export { StopStrings } from "./stop-strings.ts";
export { StreamDecoder } from "./stream-decoder.ts";
export { type DecodeOptions, type EncodeOptions, Tokenizer, type TokenizerFiles } from "./tokenizer.ts";
