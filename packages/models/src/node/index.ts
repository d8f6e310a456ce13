export * from "./decode-image.ts";
export * from "./encode-image.ts";
export * from "./file-source.ts";
export * from "./template-worker.ts";
