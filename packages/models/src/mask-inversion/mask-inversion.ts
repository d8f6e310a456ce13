import type { Device, Tensor } from "@mask-llava/runtime";
import {
  ImageProcessor,
  OPENAI_CLIP_MEAN,
  OPENAI_CLIP_STD,
  type Pixels,
  Resample,
  type Size,
} from "../images/index.ts";
import { PixelProgram, Turns } from "../nn/index.ts";
import { legradMaps } from "./explain.ts";
import { type Inversion, type InversionMasks, invertMasks } from "./invert.ts";
import { type InvertibleClip, type LinearizedImage, linearize, linearizedTensors } from "./linearize.ts";
import { MergedBlocks, type MergedWeights } from "./merged-weights.ts";
import {
  blocksUsed,
  type InversionOptions,
  MaskInversionError,
  type MaskInversionSettings,
} from "./settings.ts";

/** A picture, or pixel values already made for the tower. */
export type InversionImage =
  | { readonly picture: Pixels }
  | { readonly pixels: { readonly shape: readonly number[]; readonly data: Float32Array } };

export interface PictureInversion extends Inversion {
  /** [1, 3, H, W] */
  readonly pixelValues: { readonly shape: readonly number[]; readonly data: Float32Array };
}

export type ExplanationInput = InversionImage & {
  /** [T, E], any norm. */
  readonly embeddings: { readonly shape: readonly number[]; readonly data: Float32Array };
  /** Of the maps; default: the size that the tower sees. */
  readonly size?: Size;
};

/** Explainability maps of embeddings, without any optimisation. */
export interface Explanation {
  readonly pixelValues: { readonly shape: readonly number[]; readonly data: Float32Array };
  /** 0 to 1 each. [embeddings, H, W] */
  readonly maps: { readonly shape: readonly number[]; readonly data: Float32Array };
}

/**
 * MaskInversion (Bousselham et al. 2024, arXiv 2407.20034) on LeGrad (arXiv 2404.03214): an embedding a mask whose
 * explainability map on a CLIP tower fills the mask. The tower runs once an image; all masks are optimised together with
 * the closed-form gradient. Overlapping calls take turns.
 */
export class MaskInversion implements Disposable {
  readonly clip: InvertibleClip;
  /** Resizes to a square (or the size asked for), bicubic, without cropping. */
  readonly processor: ImageProcessor;
  readonly #blocks: number;
  readonly #projection: Tensor;
  readonly #identity: Tensor | undefined;
  #program: PixelProgram<readonly Tensor[]> | undefined;
  #merged: MergedBlocks | undefined;
  readonly #turns = new Turns();
  #image: LinearizedImage | undefined;

  /** @throws MaskInversionError for a layer that the tower lacks, a projected space without projection, a size below a patch */
  constructor(clip: InvertibleClip, settings: MaskInversionSettings = {}) {
    const { space = "projected", layer = -1, imageSize } = settings;
    const { config } = clip.vision;
    this.clip = clip;
    this.#blocks = blocksUsed(layer, config.num_hidden_layers);
    this.processor = processorFor(squareOf(imageSize ?? config.image_size), config.patch_size);
    if (space === "hidden") {
      this.#identity = identity(clip.device, config.hidden_size);
      this.#projection = this.#identity;
    } else {
      if (!clip.visualProjection)
        throw new MaskInversionError("the space", space, "hidden, as the model has no visual projection");
      this.#projection = clip.visualProjection.weight;
    }
  }

  /**
   * Embeddings of masks of an image.
   * @throws MaskInversionError, ImageError, CancelledError
   */
  invert(
    input: InversionImage & { readonly masks: InversionMasks },
    options: InversionOptions = {},
  ): Promise<PictureInversion> {
    return this.#turns.take(() => this.#invert(input, options));
  }

  async #invert(
    input: InversionImage & { readonly masks: InversionMasks },
    options: InversionOptions,
  ): Promise<PictureInversion> {
    const { pixelValues, image, height, width } = await this.#encode(input);
    const { vision, device } = this.clip;
    const grid = vision.gridOf(height, width);
    const inversion = await invertMasks(
      { device, image, grid, patch: vision.config.patch_size },
      input.masks,
      options,
    );
    return { ...inversion, pixelValues };
  }

  /**
   * LeGrad's maps of embeddings of texts, or of any, in the settings' space.
   * @throws MaskInversionError, ImageError
   */
  explain(input: ExplanationInput): Promise<Explanation> {
    return this.#turns.take(async () => {
      const { pixelValues, image, height, width } = await this.#encode(input);
      const { vision, device } = this.clip;
      const context = { device, image, grid: vision.gridOf(height, width), patch: vision.config.patch_size };
      const maps = await legradMaps(context, input.embeddings, input.size ?? { height, width });
      return { pixelValues, maps };
    });
  }

  dispose(): void {
    this.#program?.dispose();
    this.#merged?.dispose();
    this.#image = undefined;
    this.#identity?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #encode(input: InversionImage) {
    const pixelValues = "picture" in input ? this.#process(input.picture) : input.pixels;
    const [batch, channels, height, width] = pixelValues.shape as [number, number, number, number];
    const patch = this.clip.vision.config.patch_size;
    const fits =
      pixelValues.shape.length === 4 && batch === 1 && channels === this.clip.vision.config.num_channels;
    if (!fits || height < patch || width < patch) {
      const expected = `[1, ${this.clip.vision.config.num_channels}, H, W] of at least ${patch} pixels a side`;
      throw new MaskInversionError("the shape of pixels", `[${pixelValues.shape.join(", ")}]`, expected);
    }
    this.#merged ??= await MergedBlocks.create(
      this.clip.device,
      this.clip.vision.blocks.slice(-this.#blocks),
    );
    this.#program ??= this.#imageProgram(this.#merged.blocks);
    const { pixels, program } = await this.#program.forShape(pixelValues.shape);
    this.clip.device.write(pixels, pixelValues.data);
    program.run();
    return { pixelValues, image: this.#image as LinearizedImage, height, width };
  }

  #imageProgram(merged: readonly MergedWeights[]): PixelProgram<readonly Tensor[]> {
    const { vision, device } = this.clip;
    return new PixelProgram(device, "mask inversion image", (cmd, pixels) => {
      const layers = vision.blocks.length - merged.length;
      const tower = vision.forward(cmd, pixels, { resample: { antialias: true }, layers });
      this.#image = linearize(cmd, vision, tower.lastHiddenState, merged, this.#projection);
      return linearizedTensors(this.#image);
    });
  }

  #process(picture: Pixels) {
    const { pixelValues, shape } = this.processor.process(picture);
    return { shape, data: pixelValues };
  }
}

function squareOf(size: number | Size): Size {
  return typeof size === "number" ? { height: size, width: size } : size;
}

function processorFor({ height, width }: Size, patch: number): ImageProcessor {
  for (const edge of [height, width]) {
    if (!Number.isInteger(edge) || edge < patch)
      throw new MaskInversionError("image size", edge, `a whole number of at least a patch, ${patch}`);
  }
  return new ImageProcessor({
    family: "clip",
    size: { kind: "exact", height, width },
    resample: Resample.BICUBIC,
    normalization: { rescaleFactor: 1 / 255, mean: OPENAI_CLIP_MEAN, std: OPENAI_CLIP_STD },
  });
}

function identity(device: Device, size: number): Tensor {
  const data = new Float32Array(size * size);
  for (let i = 0; i < size; i++) data[i * size + i] = 1;
  return device.tensor({ shape: [size, size], dtype: "f32", label: "identity" }, data);
}
