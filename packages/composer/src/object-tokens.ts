import {
  boxToOutput,
  type ImageProcessor,
  MaskInversion,
  type Pixels,
  type ProcessedImage,
  Resample,
} from "@mask-llava/models";
import {
  type Device,
  maskPool,
  mean,
  permute,
  type Recorder,
  roiAlign,
  type Tensor,
} from "@mask-llava/runtime";
import type { HostRows, HostValues } from "./host-rows.ts";
import { type InversionFit, inversionFits } from "./inversion-fit.ts";
import { coverage, patchCoverage } from "./masks.ts";
import type { Networks } from "./networks.ts";
import type { FoundObject } from "./objects.ts";
import type { Grid } from "./visual-tokens.ts";

/** Bins that RoI-align averages a box into, before their mean: detectors' usual 7 x 7. */
const roiBins: [number, number] = [7, 7];

export interface ObjectTokenInputs {
  readonly picture: Pixels;
  /** What the vision tower saw. */
  readonly processed: ProcessedImage;
  readonly grid: Grid;
  /** [rows · columns, Dv] */
  readonly patches: HostRows;
  readonly objects: readonly FoundObject[];
}

export interface MadeObjectTokens {
  /** [M, Do] */
  readonly tokens: HostRows;
  /** MaskInversion's explainability map of each [M, H, W]. */
  readonly maps: HostValues | undefined;
  /** How MaskInversion went for each [M]; undefined for pooled tokens. */
  readonly fits: readonly InversionFit[] | undefined;
}

/** One token a mask, as `object_tokens` says. */
export class ObjectTokens implements Disposable {
  readonly #device: Device;
  readonly #networks: Networks;
  readonly #inversion: MaskInversion | undefined;
  /** As the vision tower's own, but to a square and without a crop, as MaskInversion's reference does. */
  readonly #square: ImageProcessor;

  constructor(device: Device, networks: Networks) {
    const { settings, clip } = networks;
    this.#device = device;
    this.#networks = networks;
    const { image_size: imageSize, layer } = settings.mask_inversion;
    const side = imageSize ?? clip.vision.config.image_size;
    this.#square = clip.processor.with({
      size: { kind: "exact", height: side, width: side },
      crop: undefined,
      squareColour: undefined,
      padTo: undefined,
      resample: Resample.BICUBIC,
    });
    if (settings.object_tokens === "mask_inversion") {
      this.#inversion = new MaskInversion(clip, { space: settings.object_space, layer, imageSize: side });
    }
  }

  async make(inputs: ObjectTokenInputs, signal?: AbortSignal): Promise<MadeObjectTokens> {
    if (inputs.objects.length === 0) {
      const tokens = { width: this.#networks.widths.object, data: new Float32Array(0) };
      return { tokens, maps: undefined, fits: undefined };
    }
    if (this.#inversion) return this.#invert(this.#inversion, inputs, signal);
    const byBox = this.#networks.settings.object_tokens === "roi_align";
    const boxed = inputs.objects.filter(({ kind }) => byBox && kind === "object");
    const masked = inputs.objects.filter((object) => !boxed.includes(object)); // the background comes last
    const parts = [await this.#align(inputs, boxed), await this.#pool(inputs, masked)];
    const { width } = inputs.patches;
    return {
      tokens: { width, data: Float32Array.from(parts.flatMap((part) => [...part])) },
      maps: undefined,
      fits: undefined,
    };
  }

  dispose(): void {
    this.#inversion?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The embedding whose explainability map fills each mask. */
  async #invert(
    inversion: MaskInversion,
    { picture, objects }: ObjectTokenInputs,
    signal: AbortSignal | undefined,
  ): Promise<MadeObjectTokens> {
    const { iterations, learning_rate, alpha, weight_decay, mask_size } =
      this.#networks.settings.mask_inversion;
    const { shape, pixelValues } = this.#square.process(picture);
    const masks = objects.map(({ mask }) => coverage(mask, mask_size));
    const {
      embeddings,
      firstExplainabilityMaps: firstMaps,
      explainabilityMaps: lastMaps,
      maskDiceLosses: diceLosses,
    } = await inversion.invert(
      { pixels: { shape, data: pixelValues }, masks },
      { iterations, lr: learning_rate, alpha, weightDecay: weight_decay, signal },
    );
    return {
      tokens: { width: embeddings.shape[1] as number, data: embeddings.data },
      maps: lastMaps,
      fits: firstMaps && lastMaps && inversionFits({ masks, firstMaps, lastMaps, diceLosses }),
    };
  }

  /** The mean of the patch features under each mask. [M, Dv] */
  async #pool(
    { processed, grid, patches }: ObjectTokenInputs,
    objects: readonly FoundObject[],
  ): Promise<Float32Array> {
    if (!objects.length) return new Float32Array(0);
    const { patch_size: patch } = this.#networks.clip.vision.config;
    const count = grid.rows * grid.columns;
    const weights = new Float32Array(objects.length * count);
    objects.forEach(({ mask }, i) => {
      weights.set(patchCoverage(mask, processed.geometry, grid, patch), i * count);
    });
    const cmd = this.#device.record("mask pooling");
    const features = cmd.constant(
      { shape: [count, patches.width], dtype: "f32", label: "patches" },
      patches.data,
    ); // [N, Dv]
    const masks = cmd.constant({ shape: [objects.length, count], dtype: "f32", label: "masks" }, weights); // [M, N]
    return this.#run(cmd, maskPool(cmd, features, masks)); // [M, Dv]
  }

  /** The mean of what RoI-align samples of the patch features in each box. [M, Dv] */
  async #align(
    { processed, grid, patches }: ObjectTokenInputs,
    objects: readonly FoundObject[],
  ): Promise<Float32Array> {
    if (!objects.length) return new Float32Array(0);
    const { patch_size: patch } = this.#networks.clip.vision.config;
    const { rows, columns } = grid;
    const cmd = this.#device.record("RoI-align");
    const shape = [rows, columns, patches.width];
    const tokens = cmd.constant({ shape, dtype: "f32", label: "patches" }, patches.data); // [h, w, Dv]
    const features = permute(cmd, tokens, [2, 0, 1]).reshape([1, patches.width, rows, columns]); // [1, Dv, h, w]
    const corners = objects.flatMap(({ box }) => [0, ...boxToOutput(processed.geometry, box)]);
    const boxes = cmd.constant(
      { shape: [objects.length, 5], dtype: "f32", label: "boxes" },
      Float32Array.from(corners),
    );
    const options = { outputSize: roiBins, spatialScale: 1 / patch, samplingRatio: 2, aligned: true };
    const aligned = roiAlign(cmd, features, boxes, options); // [M, Dv, b, b]
    return this.#run(cmd, mean(cmd, aligned, [2, 3])); // [M, Dv]
  }

  async #run(cmd: Recorder, output: Tensor): Promise<Float32Array> {
    using program = await cmd.finish({ outputs: [output] });
    const [data] = (await program.runAndRead([output])) as [Float32Array];
    return data;
  }
}
