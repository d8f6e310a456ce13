import type { Device, Recorder } from "@mask-llava/runtime";
import {
  Checkpoint,
  type CheckpointOptions,
  type Folder,
  parseConfig,
  requireJson,
  type UploadOptions,
} from "../checkpoint/index.ts";
import {
  type LlamaConfig,
  LlamaNetwork,
  llamaConfigSchema,
  llamaIgnored,
  type RopeTable,
  ropeTable,
} from "../llama/index.ts";
import {
  ChatTemplate,
  type GenerationOptions,
  InlineTemplateRenderer,
  loadGenerationSettings,
  type TemplateRenderer,
  Tokenizer,
} from "../text/index.ts";
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

  private constructor(
    folder: Folder,
    config: LlamaConfig,
    text: { tokenizer: Tokenizer; chatTemplate: ChatTemplate | undefined },
    weights: { checkpoint: Checkpoint; rope: RopeTable },
  ) {
    this.device = weights.checkpoint.device;
    this.config = config;
    this.tokenizer = text.tokenizer;
    this.chatTemplate = text.chatTemplate;
    this.#folder = folder;
    this.#checkpoint = weights.checkpoint;
    this.#rope = weights.rope;
    this.network = new LlamaNetwork(weights.checkpoint.weights, config, weights.rope);
  }

  static async load(device: Device, folder: Folder, options: ModelLoadOptions = {}): Promise<LanguageModel> {
    const config = parseConfig(llamaConfigSchema, await requireJson(folder, "config.json"), "config.json");
    const tokenizer = await Tokenizer.load(folder);
    const renderer = options.templates ?? new InlineTemplateRenderer();
    const chatTemplate = await ChatTemplate.load(folder, tokenizer.specialTokens, renderer);
    const rope = ropeTable(device, config);
    let checkpoint: Checkpoint | undefined;
    try {
      checkpoint = await Checkpoint.open(device, folder, { ...options, ignore: llamaIgnored });
      const model = new LanguageModel(folder, config, { tokenizer, chatTemplate }, { checkpoint, rope });
      await checkpoint.load(options);
      return model;
    } catch (error) {
      checkpoint?.dispose();
      rope.inverseFrequencies.dispose();
      throw error;
    }
  }

  /** Continues a prompt given as ids; `options` overrule the checkpoint's generation_config.json. */
  async generate(
    ids: readonly number[],
    options: GenerationOptions & GenerateControls = {},
  ): Promise<Generation> {
    const { settings, controls } = await splitOptions(this.#folder, options);
    return generate(
      this.device,
      this.network,
      this.tokenizer,
      textSource(this.network, ids),
      settings,
      controls,
    );
  }

  dispose(): void {
    this.#checkpoint.dispose();
    this.#rope.inverseFrequencies.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
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
