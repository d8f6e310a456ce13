export * from "./convert-checkpoint.ts";
export * from "./decode-image.ts";
export * from "./encode-image.ts";
export * from "./file-source.ts";
export * from "./open-checkpoint.ts";
export * from "./template-worker.ts";
export * from "./write-folder.ts";
