import { CancelledError, type Device, type Tensor } from "@mask-llava/runtime";
import { Checkpoint, type Folder, parseConfig, requireJson } from "../checkpoint/index.ts";
import {
  type BatchControls,
  BatchedContinuation,
  type BatchedGeneration,
  type GenerateControls,
  type Generation,
  generate,
  type ModelLoadOptions,
  splitOptions,
  textSource,
} from "../generation/index.ts";
import {
  type ImageProcessor,
  loadImageProcessor,
  OPENAI_CLIP_MEAN,
  type Pixels,
  type ProcessedImage,
  squareColour,
} from "../images/index.ts";
import { type RopeTable, ropeTable } from "../llama/index.ts";
import { PixelProgram, Turns } from "../nn/index.ts";
import { ChatTemplate, type GenerationOptions, InlineTemplateRenderer, Tokenizer } from "../text/index.ts";
import { type LlavaConfig, llavaConfigSchema } from "./config.ts";
import { llavaIgnored, llavaNames } from "./names.ts";
import { LlavaNetwork } from "./network.ts";
import { expandPrompt, picturePrompt, picturePrompts } from "./prompt.ts";
import { splicedSource } from "./splice.ts";

export interface LlavaQuestion {
  readonly pictures: readonly Pixels[];
  /** Taken verbatim: each `<image>` marks the next picture. `promptFor` makes one from a question. */
  readonly prompt: string;
  /** Whether the tokenizer adds BOS; default: where the prompt does not begin with it. */
  readonly addSpecialTokens?: boolean;
}

export interface LlavaAnswer extends Omit<Generation, "timings"> {
  readonly pictures: readonly ProcessedImage[];
  /** After the projector. [pictures, n, D] */
  readonly imageFeatures: { readonly shape: readonly number[]; readonly data: Float32Array } | undefined;
  /** Visual tokens of all pictures. */
  readonly visualTokens: number;
  /** Wall milliseconds: preparing the pictures, encoding them, and the decoder's two stages. */
  readonly timings: {
    readonly process: number;
    readonly encode: number;
    readonly prefill: number;
    readonly decode: number;
  };
}

/** Answers to prompts about one picture. */
export interface LlavaAnswers {
  /** One a prompt. */
  readonly answers: readonly BatchedGeneration[];
  readonly visualTokens: number;
  /** Wall milliseconds, of all together. */
  readonly timings: LlavaAnswer["timings"];
}

export interface LlavaControls extends GenerateControls {
  /** Also read the image features back. */
  readonly imageFeatures?: boolean | undefined;
}

/** A LLaVA-1.5 checkpoint: pictures and a prompt in, text out. Owns its weights. */
export class Llava implements Disposable {
  readonly device: Device;
  readonly config: LlavaConfig;
  readonly network: LlavaNetwork;
  readonly processor: ImageProcessor;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly #folder: Folder;
  readonly #checkpoint: Checkpoint;
  readonly #rope: RopeTable;
  readonly #image: PixelProgram<readonly [Tensor]>;
  readonly #batched: BatchedContinuation;
  /** Image features stay in the program's memory until the prompt has taken them. */
  readonly #turns = new Turns();

  private constructor(init: {
    folder: Folder;
    config: LlavaConfig;
    processor: ImageProcessor;
    tokenizer: Tokenizer;
    chatTemplate: ChatTemplate | undefined;
    checkpoint: Checkpoint;
    rope: RopeTable;
  }) {
    this.device = init.checkpoint.device;
    this.config = init.config;
    this.processor = init.processor;
    this.tokenizer = init.tokenizer;
    this.chatTemplate = init.chatTemplate;
    this.#folder = init.folder;
    this.#checkpoint = init.checkpoint;
    this.#rope = init.rope;
    this.network = new LlavaNetwork(init.checkpoint.weights, init.config, init.rope);
    const { language } = this.network;
    this.#batched = new BatchedContinuation(this.device, init.folder, language, this.tokenizer);
    this.#image = new PixelProgram(this.device, "llava vision", (cmd, pixels) => [
      this.network.imageFeatures(cmd, pixels), // [I, n, D]
    ]);
  }

  static async load(device: Device, folder: Folder, options: ModelLoadOptions = {}): Promise<Llava> {
    const config = parseConfig(llavaConfigSchema, await requireJson(folder, "config.json"), "config.json");
    const plain = await loadImageProcessor(folder, "llava");
    // the original LLaVA pads to a square with the mean colour, and says so in the model's configuration
    const pads = config.image_aspect_ratio === "pad";
    const processor = pads
      ? plain.with({ squareColour: squareColour(plain.settings.normalization.mean ?? OPENAI_CLIP_MEAN) })
      : plain;
    const tokenizer = await Tokenizer.load(folder);
    const renderer = options.templates ?? new InlineTemplateRenderer();
    const chatTemplate = await ChatTemplate.load(folder, tokenizer.specialTokens, renderer);
    const rope = ropeTable(device, config.text_config);
    let checkpoint: Checkpoint | undefined;
    try {
      checkpoint = await Checkpoint.open(device, folder, {
        ...options,
        rename: llavaNames,
        ignore: llavaIgnored,
      });
      const model = new Llava({ folder, config, processor, tokenizer, chatTemplate, checkpoint, rope });
      await checkpoint.load(options);
      return model;
    } catch (error) {
      checkpoint?.dispose();
      rope.inverseFrequencies.dispose();
      throw error;
    }
  }

  /** The prompt for a question about so many pictures. */
  promptFor(question: string, pictures: number): Promise<string> {
    return picturePrompt(this.chatTemplate, question, pictures);
  }

  /** `promptFor` of many questions. */
  promptsFor(questions: readonly string[], pictures: number): Promise<string[]> {
    return picturePrompts(this.chatTemplate, questions, pictures);
  }

  /** Answers a prompt; `options` overrule the checkpoint's generation_config.json. Overlapping calls take turns. */
  ask(question: LlavaQuestion, options: GenerationOptions & LlavaControls = {}): Promise<LlavaAnswer> {
    return this.#turns.take(() => this.#answer(question, options));
  }

  /**
   * Answers prompts about one picture, each with one `<image>` mark, as `ask` does one by one but for the rounding of sums: the
   * picture and what the prompts have in common are run once.
   */
  askAll(
    picture: Pixels,
    prompts: readonly string[],
    options: GenerationOptions & BatchControls = {},
  ): Promise<LlavaAnswers> {
    return this.#turns.take(async () => {
      const { imageTokenId } = this.config;
      const { visualTokens } = this.network;
      const ids = prompts.map((prompt) =>
        expandPrompt(prompt, this.tokenizer, { imageTokenId, visualTokens: [visualTokens] }),
      );
      const started = performance.now();
      const processed = this.processor.process(picture);
      const encodeStarted = performance.now();
      const features = await this.#encode([processed]); // [1, n, D]
      await this.device.idle();
      const encode = performance.now() - encodeStarted;
      const visual = features.reshape([visualTokens, -1]); // [n, D]
      const { generations, timings } = await this.#batched.continueAll(
        [{ prompts: ids, visual, imageTokenId }],
        options,
      );
      return {
        answers: generations[0] ?? [],
        visualTokens,
        timings: { process: encodeStarted - started, encode, ...timings },
      };
    });
  }

  async #answer(question: LlavaQuestion, options: GenerationOptions & LlavaControls): Promise<LlavaAnswer> {
    const { imageFeatures: wantFeatures, ...rest } = options;
    const { settings, controls } = await splitOptions(this.#folder, rest);
    const ids = expandPrompt(question.prompt, this.tokenizer, {
      imageTokenId: this.config.imageTokenId,
      visualTokens: question.pictures.map(() => this.network.visualTokens),
      ...(question.addSpecialTokens === undefined ? {} : { addSpecialTokens: question.addSpecialTokens }),
    });
    const started = performance.now();
    const pictures = question.pictures.map((p) => this.processor.process(p));
    const encodeStarted = performance.now();
    const features = pictures.length ? await this.#encode(pictures) : undefined; // [I, n, D]
    const data = features && wantFeatures ? ((await this.device.read(features)) as Float32Array) : undefined;
    if (features) await this.device.idle();
    const encode = performance.now() - encodeStarted;
    if (controls.signal?.aborted) throw new CancelledError();
    const { language } = this.network;
    const source = features
      ? splicedSource(
          language,
          ids,
          this.config.imageTokenId,
          features.reshape([-1, features.shape[2] as number]),
        )
      : textSource(language, ids);
    const answer = await generate(this.device, language, this.tokenizer, source, settings, controls);
    return {
      ...answer,
      pictures,
      imageFeatures: features && data ? { shape: features.shape, data } : undefined,
      visualTokens: pictures.length * this.network.visualTokens,
      timings: { process: encodeStarted - started, encode, ...answer.timings },
    };
  }

  dispose(): void {
    this.#batched.dispose();
    this.#image.dispose();
    this.#checkpoint.dispose();
    this.#rope.inverseFrequencies.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Image features of processed pictures. [I, n, D] */
  async #encode(pictures: readonly ProcessedImage[]): Promise<Tensor> {
    const [, channels, height, width] = (pictures[0] as ProcessedImage).shape;
    const { pixels, program, outputs } = await this.#image.forShape([
      pictures.length,
      channels,
      height,
      width,
    ]);
    pictures.forEach((p, i) => {
      this.device.write(pixels, p.pixelValues, i * p.pixelValues.byteLength);
    });
    program.run();
    return outputs[0];
  }
}
