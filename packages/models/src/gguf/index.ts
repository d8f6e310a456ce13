export { type FilePlace, GgufFolder, type GgufOptions } from "./gguf-folder.ts";
export { type GgufHeader, type GgufTensor, readGguf } from "./header.ts";
export { GgufMetadata } from "./metadata.ts";
export type { GgufValue } from "./metadata-reader.ts";
export { type TokenizerJsons, tokenizerJsons } from "./tokenizer.ts";
export type { GgufType } from "./types.ts";
