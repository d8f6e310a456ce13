import type { Device } from "@mask-llava/runtime";
import type { Folder } from "../../checkpoint/index.ts";
import type { LlamaNetwork } from "../../llama/index.ts";
import { Turns } from "../../nn/index.ts";
import { type GenerationOptions, loadGenerationSettings, type Tokenizer } from "../../text/index.ts";
import { type BatchControls, type BatchedGenerations, BatchGenerator } from "./batch-generator.ts";
import type { PromptFamily } from "./prompt-families.ts";

/** A checkpoint's batches: programs are kept while the generation's options stay the same. Overlapping calls take turns. */
export class BatchedContinuation implements Disposable {
  readonly #device: Device;
  readonly #folder: Folder;
  readonly #network: LlamaNetwork;
  readonly #tokenizer: Tokenizer;
  readonly #turns = new Turns();
  #latest: { readonly key: string; readonly generator: BatchGenerator } | undefined;

  constructor(device: Device, folder: Folder, network: LlamaNetwork, tokenizer: Tokenizer) {
    this.#device = device;
    this.#folder = folder;
    this.#network = network;
    this.#tokenizer = tokenizer;
  }

  continueAll(
    families: readonly PromptFamily[],
    { stop, signal, cacheDtype, ...options }: GenerationOptions & BatchControls,
  ): Promise<BatchedGenerations> {
    return this.#turns.take(async () => {
      const settings = await loadGenerationSettings(this.#folder, options);
      const key = JSON.stringify({ settings, cacheDtype });
      if (this.#latest?.key !== key) {
        this.dispose();
        const args = [this.#device, this.#network, this.#tokenizer, settings, { cacheDtype }] as const;
        this.#latest = { key, generator: new BatchGenerator(...args) };
      }
      return this.#latest.generator.generate(families, { stop, signal });
    });
  }

  dispose(): void {
    this.#latest?.generator.dispose();
    this.#latest = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
