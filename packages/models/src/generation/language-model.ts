import type { Device, Recorder } from "@mask-llava/runtime";
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
  type LlamaConfig,
  LlamaNetwork,
  llamaConfigSchema,
  llamaIgnored,
  type RopeTable,
  ropeTable,
} from "../llama/index.ts";
import { llavaConfigSchema } from "../llava/config.ts";
import { llavaIgnored, llavaNames } from "../llava/names.ts";
import {
  ChatTemplate,
  type GenerationOptions,
  InlineTemplateRenderer,
  loadGenerationSettings,
  type TemplateRenderer,
  Tokenizer,
} from "../text/index.ts";
import {
  type BatchControls,
  BatchedContinuation,
  type BatchedGenerations,
  type PromptFamily,
} from "./batch/index.ts";
import { type GenerateControls, type Generation, generate, type PromptSource } from "./generate.ts";

export interface ModelLoadOptions extends CheckpointOptions, UploadOptions {
  /** Renders the checkpoint's chat template, which is not trusted: in Node, a WorkerTemplateRenderer. */
  readonly templates?: TemplateRenderer;
}

/** A LLaMA checkpoint with its tokenizer, chat template and generation settings. Owns its weights. */
export class LanguageModel implements Disposable {
  readonly device: Device;
  readonly config: LlamaConfig;
  readonly network: LlamaNetwork;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly #folder: Folder;
  readonly #checkpoint: Checkpoint;
  readonly #rope: RopeTable;
  readonly #batched: BatchedContinuation;

  private constructor(init: {
    folder: Folder;
    network: LlamaNetwork;
    tokenizer: Tokenizer;
    chatTemplate: ChatTemplate | undefined;
    checkpoint: Checkpoint;
    rope: RopeTable;
  }) {
    this.device = init.checkpoint.device;
    this.config = init.network.config;
    this.network = init.network;
    this.tokenizer = init.tokenizer;
    this.chatTemplate = init.chatTemplate;
    this.#folder = init.folder;
    this.#checkpoint = init.checkpoint;
    this.#rope = init.rope;
    this.#batched = new BatchedContinuation(this.device, init.folder, this.network, this.tokenizer);
  }

  /** Loads a LLaMA folder, or the decoder of a LLaVA folder. */
  static async load(device: Device, folder: Folder, options: ModelLoadOptions = {}): Promise<LanguageModel> {
    const { config, weights, ...names } = await readLayout(folder);
    const tokenizer = await Tokenizer.load(folder);
    const renderer = options.templates ?? new InlineTemplateRenderer();
    const chatTemplate = await ChatTemplate.load(folder, tokenizer.specialTokens, renderer);
    const rope = ropeTable(device, config);
    let checkpoint: Checkpoint | undefined;
    try {
      checkpoint = await Checkpoint.open(device, folder, { ...options, ...names });
      const network = new LlamaNetwork(weights(checkpoint), config, rope);
      const model = new LanguageModel({ folder, network, tokenizer, chatTemplate, checkpoint, rope });
      await checkpoint.load(options);
      return model;
    } catch (error) {
      checkpoint?.dispose();
      rope.inverseFrequencies.dispose();
      throw error;
    }
  }

  /** Continues a prompt given as ids; `options` overrule the checkpoint's generation_config.json. */
  generate(ids: readonly number[], options: GenerationOptions & GenerateControls = {}): Promise<Generation> {
    return this.continue(textSource(this.network, ids), options);
  }

  /** Continues a prompt that may hold more than text. */
  async continue(
    source: PromptSource,
    options: GenerationOptions & GenerateControls = {},
  ): Promise<Generation> {
    const { settings, controls } = await splitOptions(this.#folder, options);
    return generate(this.device, this.network, this.tokenizer, source, settings, controls);
  }

  /**
   * Continues many prompts at once, each as `continue` does but for the rounding of sums: what prompts of a family have in
   * common is run once, and all of them are decoded side by side.
   */
  continueAll(
    families: readonly PromptFamily[],
    options: GenerationOptions & BatchControls = {},
  ): Promise<BatchedGenerations> {
    return this.#batched.continueAll(families, options);
  }

  dispose(): void {
    this.#batched.dispose();
    this.#checkpoint.dispose();
    this.#rope.inverseFrequencies.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Where a folder has its decoder: a LLaMA checkpoint, or a part of a LLaVA one. */
async function readLayout(folder: Folder) {
  const json = await requireJson(folder, "config.json");
  if ((json as { model_type?: unknown } | null)?.model_type === "llava") {
    return {
      config: parseConfig(llavaConfigSchema, json, "config.json").text_config,
      weights: (checkpoint: Checkpoint): Weights => checkpoint.weights.at("language_model"),
      rename: llavaNames,
      ignore: [...llavaIgnored, /^vision_tower\./, /^multi_modal_projector\./],
    };
  }
  return {
    config: parseConfig(llamaConfigSchema, json, "config.json"),
    weights: (checkpoint: Checkpoint): Weights => checkpoint.weights,
    ignore: llamaIgnored,
  };
}

/** A prompt of text alone. */
export function textSource(network: LlamaNetwork, ids: readonly number[]): PromptSource {
  return {
    ids,
    embed: (cmd: Recorder, start: number, count: number) =>
      network.embed(
        cmd,
        cmd.constant(
          { shape: [1, count], dtype: "u32", label: "input_ids" },
          Uint32Array.from(ids.slice(start, start + count)),
        ),
      ),
  };
}

/** The checkpoint's generation settings with the caller's, and what only controls the run. */
export async function splitOptions(folder: Folder, options: GenerationOptions & GenerateControls) {
  const { stop, signal, onText, promptLogits, prefillChunk, cacheDtype, ...generation } = options;
  const settings = await loadGenerationSettings(folder, generation);
  return { settings, controls: { stop, signal, onText, promptLogits, prefillChunk, cacheDtype } };
}
