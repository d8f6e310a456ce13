export { place, squareAround } from "./canvas.ts";
export { ImageError, type ImageErrorCode, ProcessorConfigError } from "./errors.ts";
export {
  type Box,
  boxToOriginal,
  boxToOutput,
  contentRect,
  type Geometry,
  pointToOriginal,
  pointToOutput,
} from "./geometry.ts";
export { loadImageProcessor } from "./load-processor.ts";
export { DEFAULT_MAX_PIXELS, type Pixels, pixels, type Size } from "./pixels.ts";
export { ImageProcessor, type ProcessedImage } from "./processor.ts";
export {
  IMAGENET_MEAN,
  IMAGENET_STD,
  OPENAI_CLIP_MEAN,
  OPENAI_CLIP_STD,
  type ProcessorFamily,
  type ProcessorSettings,
  parseProcessorConfig,
  squareColour,
} from "./processor-config.ts";
export { Resample, type ResizeBackend } from "./resample-filters.ts";
export { crop, type Rect, type ResizeOptions, resize } from "./resize.ts";
export { type SizeRule, targetSize } from "./target-size.ts";
