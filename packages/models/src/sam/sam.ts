import { type Device, RuntimeError, type Tensor } from "@mask-llava/runtime";
import {
  Checkpoint,
  type CheckpointOptions,
  type Folder,
  parseConfig,
  requireJson,
  type UploadOptions,
  type Weights,
} from "../checkpoint/index.ts";
import {
  type ImageProcessor,
  loadImageProcessor,
  type Pixels,
  type ProcessedImage,
  ProcessorConfigError,
} from "../images/index.ts";
import { PixelProgram, Turns } from "../nn/index.ts";
import { type SamConfig, samConfigSchema } from "./config.ts";
import { MaskUpsampler } from "./mask-upsampler.ts";
import { SamMasks, type SamValues } from "./masks.ts";
import { SamNetwork } from "./network.ts";
import { checkPrompts, placePrompts, type SamPrompts } from "./prompts.ts";
import { copyRows, Replay } from "./replay.ts";

export interface SamOptions {
  /** Pixels a side that the network runs at, a multiple of the patch size; default: what it was trained at. */
  readonly imageSize?: number;
}

export interface SamDecodeOptions {
  /** Three masks for each prompt, which may be ambiguous (default), or one. */
  readonly multimask?: boolean;
  /** Prompts that are decoded at once; default: as many as fit into about 256 MiB. */
  readonly promptsAtOnce?: number;
}

/** Where the weights come from: a checkpoint, or random ones. The model owns it. */
export interface WeightSource extends Disposable {
  readonly device: Device;
  readonly weights: Weights;
  load(options?: UploadOptions): Promise<void>;
}

/** Memory that a batch of prompts may take in the decoder. */
const decoderBytes = 256 * 2 ** 20;
/** Maps of [g·g, C] that the decoder holds at once for a prompt: 4.2 measured at SAM's size, and its inputs. */
const mapsPerPrompt = 5;

/** A picture's embedding, which serves any number of prompts. Dispose it when no more are to come. */
export class SamImage implements Disposable {
  readonly processed: ProcessedImage;
  /** On the GPU. [1, C, g, g] */
  readonly embedding: Tensor;

  constructor(processed: ProcessedImage, embedding: Tensor) {
    this.processed = processed;
    this.embedding = embedding;
  }

  dispose(): void {
    this.embedding.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Segment Anything with its processor: pictures to embeddings, and prompts on them to masks. Owns its weights. */
export class Sam implements Disposable {
  readonly network: SamNetwork;
  readonly device: Device;
  readonly processor: ImageProcessor;
  readonly #source: WeightSource;
  readonly #encoder: PixelProgram<readonly [Tensor]>;
  readonly #decoder: Replay<"image" | "tokens" | "masks", "predMasks" | "iouScores">;
  readonly #upsampler: MaskUpsampler;
  readonly #turns = new Turns();

  private constructor(source: WeightSource, network: SamNetwork, processor: ImageProcessor) {
    this.#source = source;
    this.network = network;
    this.processor = processor;
    this.device = source.device;
    this.#encoder = new PixelProgram(this.device, "sam encoder", (cmd, pixels) => [
      network.vision.forward(cmd, pixels).imageEmbeddings, // [1, C, g, g]
    ]);
    this.#decoder = new Replay(this.device, "sam decoder");
    this.#upsampler = new MaskUpsampler(this.device);
  }

  get config(): SamConfig {
    return this.network.config;
  }

  /**
   * Loads a Hugging Face folder: `config.json`, safetensors, `preprocessor_config.json`.
   * @throws ConfigError, ProcessorConfigError, CheckpointError, OutOfMemoryError, CancelledError
   */
  static async load(
    device: Device,
    folder: Folder,
    options: SamOptions & CheckpointOptions & UploadOptions = {},
  ): Promise<Sam> {
    const config = parseConfig(samConfigSchema, await requireJson(folder, "config.json"), "config.json");
    const processor = await loadImageProcessor(folder, "sam");
    const checkpoint = await Checkpoint.open(device, folder, options);
    return await Sam.fromWeights(checkpoint, config, processor, options);
  }

  /** Takes the network's weights from `source`, which the model then owns; it is disposed where that fails. */
  static async fromWeights(
    source: WeightSource,
    config: SamConfig,
    processor: ImageProcessor,
    options: SamOptions & UploadOptions = {},
  ): Promise<Sam> {
    try {
      const imageSize = imageSizeOf(config, options);
      const network = new SamNetwork(source.weights, config, imageSize);
      const fitting = fitProcessor(processor, config.vision_config.image_size, imageSize);
      await network.ready();
      await source.load(options);
      return new Sam(source, network, fitting);
    } catch (error) {
      source[Symbol.dispose]();
      throw error;
    }
  }

  /** Encodes a picture; the program is recorded at the first and replayed for the others. */
  async encode(picture: Pixels): Promise<SamImage> {
    const processed = this.processor.process(picture);
    return await this.#turns.take(async () => {
      const { pixels, program, outputs } = await this.#encoder.forShape(processed.shape);
      const [output] = outputs;
      const { shape, size } = output;
      const embedding = this.device.tensor({ shape, dtype: "f32", label: "image embedding" });
      try {
        this.device.write(pixels, processed.pixelValues);
        program.run();
        copyRows(this.device, size, [{ from: output, fromRow: 0, to: embedding, toRow: 0 }]);
        await this.device.idle();
        return new SamImage(processed, embedding);
      } catch (error) {
        embedding.dispose();
        throw error;
      }
    });
  }

  /** [1, C, g, g] */
  async readEmbedding(image: SamImage): Promise<SamValues> {
    const data = (await this.device.read(image.embedding)) as Float32Array;
    return { shape: image.embedding.shape, data };
  }

  /**
   * Masks for prompts on an encoded picture. Prompts with as many tokens are decoded together, so that each gets what it
   * would get alone. Throws a SamPromptError where a prompt is not whole.
   */
  async decode(image: SamImage, prompts: SamPrompts, options: SamDecodeOptions = {}): Promise<SamMasks> {
    const { multimask = true, promptsAtOnce = this.#promptsAtOnce() } = options;
    if (!Number.isInteger(promptsAtOnce) || promptsAtOnce < 1)
      throw new RuntimeError(
        "OPTION",
        `promptsAtOnce: found ${promptsAtOnce}, expected a whole number of at least 1`,
      );
    const { geometry } = image.processed;
    const { maskSide, decoder } = this.network;
    const count = checkPrompts(prompts, geometry.original, maskSide);
    this.device.checkOwns(image.embedding);
    const outputTokens = await decoder.outputTokens;
    const sparse = await Promise.all(
      placePrompts(prompts, count, geometry).map((prompt) => this.network.prompts.tokens(prompt)),
    );
    const masks = multimask ? decoder.config.num_multimask_outputs : 1;
    const predMasks = this.device.tensor({
      shape: [count, masks, maskSide, maskSide],
      dtype: "f32",
      label: "pred_masks",
    });
    try {
      const data = await this.#turns.take(async () => {
        using iou = this.device.tensor({ shape: [count, masks], dtype: "f32", label: "iou_scores" });
        for (const members of batches(sparse, promptsAtOnce)) {
          const tokens = members.map((p) => [outputTokens, sparse[p] as Float32Array] as const);
          const mask = masksOf(prompts, members, maskSide);
          await this.#decodeBatch({ image, members, tokens, mask, multimask }, predMasks, iou);
        }
        return (await this.device.read(iou)) as Float32Array;
      });
      return new SamMasks({
        device: this.device,
        predMasks,
        iouScores: { shape: [count, masks], data },
        geometry,
        upsampler: this.#upsampler,
        turns: this.#turns,
      });
    } catch (error) {
      predMasks.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.#encoder.dispose();
    this.#decoder.dispose();
    this.#upsampler.dispose();
    this.#source[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #promptsAtOnce(): number {
    const { grid, config } = this.network;
    const bytes = 4 * mapsPerPrompt * grid * grid * config.mask_decoder_config.hidden_size;
    return Math.max(1, Math.floor(decoderBytes / bytes));
  }

  /** Decodes prompts of one number of tokens and puts their masks and scores into the rows of `members`. */
  async #decodeBatch(batch: PromptBatch, predMasks: Tensor, iou: Tensor): Promise<void> {
    const { image, members, tokens, mask, multimask } = batch;
    const width = this.network.config.mask_decoder_config.hidden_size;
    const rows = tokens.map(([output, own]) => Float32Array.of(...output, ...own));
    const flat = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
    let at = 0;
    for (const row of rows) {
      flat.set(row, at);
      at += row.length;
    }
    const { maskSide, grid, prompts, decoder } = this.network;
    const shapes = {
      image: [1, width, grid, grid],
      tokens: [members.length, flat.length / members.length / width, width],
      masks: mask ? [mask.length / maskSide ** 2, 1, maskSide, maskSide] : [], // a scalar that nothing reads
    };
    const recorded = await this.#decoder.for(`${multimask}`, shapes, (cmd, inputs) => {
      const dense = mask ? prompts.mask.forward(cmd, inputs.masks) : prompts.noMask; // [1 | P, C, g, g] or [C, 1, 1]
      const positions = prompts.imagePositions; // [1, N, C]
      return decoder.forward(
        cmd,
        { image: inputs.image, tokens: inputs.tokens, dense, positions },
        multimask,
      );
    });
    const { inputs, outputs, program } = recorded;
    copyRows(this.device, image.embedding.size, [
      { from: image.embedding, fromRow: 0, to: inputs.image, toRow: 0 },
    ]);
    this.device.write(inputs.tokens, flat);
    if (mask) this.device.write(inputs.masks, mask);
    program.run();
    for (const [from, to] of [
      [outputs.predMasks, predMasks],
      [outputs.iouScores, iou],
    ] as const) {
      const copies = members.map((p, i) => ({ from, fromRow: i, to, toRow: p }));
      copyRows(this.device, to.size / (to.shape[0] as number), copies);
    }
    this.device.check();
  }
}

interface PromptBatch {
  readonly image: SamImage;
  /** Indices of the prompts. */
  readonly members: readonly number[];
  /** Of each: the rows that all start with, and its own. */
  readonly tokens: readonly (readonly [Float32Array, Float32Array])[];
  /** One for all or one for each. [1 | P, side, side] */
  readonly mask: Float32Array | undefined;
  readonly multimask: boolean;
}

/** Prompts by their number of tokens, at most `most` together; with their indices. */
function* batches(sparse: readonly Float32Array[], most: number): Generator<number[]> {
  const groups = new Map<number, number[]>();
  for (const [i, { length }] of sparse.entries()) groups.set(length, [...(groups.get(length) ?? []), i]);
  for (const group of groups.values())
    for (let i = 0; i < group.length; i += most) yield group.slice(i, i + most);
}

function masksOf(
  { maskInput }: SamPrompts,
  members: readonly number[],
  side: number,
): Float32Array | undefined {
  if (!maskInput || maskInput.data.length === side * side) return maskInput?.data;
  const out = new Float32Array(members.length * side * side);
  for (const [i, p] of members.entries())
    out.set(maskInput.data.subarray(p * side * side, (p + 1) * side * side), i * side * side);
  return out;
}

function imageSizeOf({ vision_config: vision }: SamConfig, { imageSize }: SamOptions): number {
  if (imageSize === undefined) return vision.image_size;
  const { patch_size: patch } = vision;
  if (Number.isInteger(imageSize) && imageSize >= patch && imageSize % patch === 0) return imageSize;
  throw new RuntimeError(
    "OPTION",
    `imageSize: found ${imageSize}, expected a multiple of the patch size ${patch}`,
  );
}

/** The processor, made to give squares of `imageSize`; it has to give squares of the trained size as its file has it. */
function fitProcessor(processor: ImageProcessor, trained: number, imageSize: number): ImageProcessor {
  const { padTo, size, crop } = processor.settings;
  if (padTo?.height !== trained || padTo.width !== trained || crop) {
    const found = crop ? "a crop" : padTo ? `${padTo.height}x${padTo.width}` : "no padding";
    throw new ProcessorConfigError(
      "preprocessor_config.json",
      "pad_size",
      `expected the image_size of config.json, ${trained}x${trained}; found ${found}`,
    );
  }
  if (imageSize === trained) return processor;
  if (!size)
    throw new ProcessorConfigError("preprocessor_config.json", "do_resize", "expected true; found false");
  const padded = { height: imageSize, width: imageSize };
  return processor.with({ size: { kind: "longest", longest: imageSize }, padTo: padded });
}
