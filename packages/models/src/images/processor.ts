import { place, squareAround } from "./canvas.ts";
import { ImageError } from "./errors.ts";
import type { Geometry } from "./geometry.ts";
import { normalizePixels } from "./normalize.ts";
import { DEFAULT_MAX_PIXELS, type Pixels, type Size } from "./pixels.ts";
import { type ProcessorFamily, type ProcessorSettings, parseProcessorConfig } from "./processor-config.ts";
import type { ResizeBackend } from "./resample-filters.ts";
import { crop, type Rect, resize } from "./resize.ts";
import { targetSize } from "./target-size.ts";

/** What a vision model takes, and how positions on it relate to the picture. */
export interface ProcessedImage {
  /** [1, 3, H, W] */
  readonly pixelValues: Float32Array;
  readonly shape: readonly [1, 3, number, number];
  /** Deformable DETR only: 1 where there is picture, 0 where there is padding; [1, H, W]. */
  readonly pixelMask?: Uint8Array;
  readonly geometry: Geometry;
}

/**
 * Prepares RGB pictures for CLIP, LLaVA, Deformable DETR or SAM as their processors in Hugging Face transformers do.
 *
 * Transformers has each processor twice: on Pillow (`...ImageProcessorPil`, the only one before 2024 and what the
 * published checkpoints were made with) and on torchvision (`...ImageProcessor` since version 5, `...Fast` before).
 * `backend` says whose arithmetic is followed; results are equal to that one's bit for bit. Default: "pil".
 */
export class ImageProcessor {
  readonly settings: ProcessorSettings;
  readonly backend: ResizeBackend;

  constructor(settings: ProcessorSettings, backend: ResizeBackend = "pil") {
    this.settings = settings;
    this.backend = backend;
  }

  /**
   * Of a parsed `preprocessor_config.json` or `processor_config.json`; see `parseProcessorConfig`.
   * @throws ProcessorConfigError
   */
  static fromConfig(
    json: unknown,
    file: string,
    options: { family?: ProcessorFamily; backend?: ResizeBackend } = {},
  ): ImageProcessor {
    return new ImageProcessor(parseProcessorConfig(json, file, options.family), options.backend);
  }

  /** The same processor with some settings replaced: `{ size: { kind: "exact", .. }, crop: undefined }`, say. */
  with(changes: Partial<ProcessorSettings>): ImageProcessor {
    return new ImageProcessor({ ...this.settings, ...changes }, this.backend);
  }

  /** Where the pixels of a picture of this size would go, without touching any. */
  geometry(original: Size): Geometry {
    const { squareColour, size, crop: cropSize, padTo } = this.settings;
    const padded: Rect = squareColour
      ? squareAround(original)
      : { left: 0, top: 0, height: original.height, width: original.width };
    const resized = size ? targetSize(padded, size) : { height: padded.height, width: padded.width };
    const origin = cropSize
      ? {
          left: this.cropOffset(resized.width, cropSize.width),
          top: this.cropOffset(resized.height, cropSize.height),
        }
      : { left: 0, top: 0 };
    const content = cropSize ?? resized;
    const output = padTo ?? content;
    if (output.height < content.height || output.width < content.width) {
      throw new ImageError(
        "BAD_SIZE",
        `a ${original.width}x${original.height} picture becomes ${content.width}x${content.height}, more than the pad_size ${output.width}x${output.height}`,
      );
    }
    if (output.height * output.width > DEFAULT_MAX_PIXELS) {
      throw new ImageError(
        "TOO_LARGE",
        `a ${original.width}x${original.height} picture would be resized to ${output.width}x${output.height}: more than ${DEFAULT_MAX_PIXELS} pixels`,
      );
    }
    return { original: { height: original.height, width: original.width }, padded, resized, origin, output };
  }

  /** @throws ImageError BAD_PIXELS when the picture is not RGB, BAD_SIZE or TOO_LARGE when its size cannot be processed */
  process(image: Pixels): ProcessedImage {
    if (image.channels !== 3) {
      throw new ImageError("BAD_PIXELS", `expected a picture of 3 channels (RGB), found ${image.channels}`);
    }
    const { squareColour, size, resample, crop: cropSize, normalization } = this.settings;
    const g = this.geometry(image);
    let x = squareColour ? place(image, g.padded, g.padded, squareColour) : image; // [padded.height, padded.width, 3]
    // Only those pixels of the resized picture that the crop keeps.
    const window = {
      left: Math.max(0, g.origin.left),
      top: Math.max(0, g.origin.top),
      width: Math.min(g.resized.width, cropSize?.width ?? g.resized.width),
      height: Math.min(g.resized.height, cropSize?.height ?? g.resized.height),
    };
    x = size ? resize(x, g.resized, resample, { window, backend: this.backend }) : crop(x, window);
    if (cropSize) {
      const at = { left: Math.max(0, -g.origin.left), top: Math.max(0, -g.origin.top) };
      x = place(x, cropSize, at, [0, 0, 0]); // [crop.height, crop.width, 3]
    }
    const pixelValues = normalizePixels(x, normalization, this.backend, g.output); // [3, H, W]
    const { height, width } = g.output;
    return {
      pixelValues,
      shape: [1, 3, height, width],
      ...(this.settings.family === "deformable_detr" && { pixelMask: pixelMask(x, g.output) }),
      geometry: g,
    };
  }

  /** Offset of a centred crop of `wanted` pixels; negative: that much padding comes first. */
  private cropOffset(size: number, wanted: number): number {
    if (wanted <= size) return Math.floor((size - wanted) / 2);
    // The odd pixel of padding goes first on Pillow's side of transformers and last on torchvision's.
    const padding = (wanted - size) / 2;
    return -(this.backend === "pil" ? Math.ceil(padding) : Math.floor(padding));
  }
}

function pixelMask(content: Size, output: Size): Uint8Array {
  const mask = new Uint8Array(output.height * output.width);
  for (let y = 0; y < content.height; y++) mask.fill(1, y * output.width, y * output.width + content.width);
  return mask;
}
