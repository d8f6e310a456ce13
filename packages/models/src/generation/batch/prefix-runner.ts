import type { Device, Program, Tensor } from "@mask-llava/runtime";
import { KvCache, type KvDType, type LlamaNetwork } from "../../llama/index.ts";
import { type PromptRun, promptRuns, splice } from "../../llava/splice.ts";
import { allOrNone, copyBytes } from "../../nn/index.ts";
import { ByteCache } from "./byte-cache.ts";
import type { SharedPrefix } from "./prompt-families.ts";

/** Positions run at once; bounds the memory of activations. */
const chunk = 1024;

/** A stretch of prompts with text and visual tokens at the same places. Owns its inputs. */
class StretchProgram implements Disposable {
  readonly bytes: number;
  readonly #program: Program;
  readonly #text: Tensor | undefined; // u32 [Tt]
  readonly #visual: Tensor | undefined; // [Tv, D]

  private constructor(program: Program, text: Tensor | undefined, visual: Tensor | undefined) {
    this.#program = program;
    this.#text = text;
    this.#visual = visual;
    this.bytes = program.bytes;
  }

  static async record(
    device: Device,
    network: LlamaNetwork,
    runs: readonly PromptRun[],
    cache: KvCache,
    start: Tensor,
  ): Promise<StretchProgram> {
    const count = (kind: PromptRun["kind"]) =>
      runs.reduce((sum, run) => sum + (run.kind === kind ? run.count : 0), 0);
    const [texts, visuals] = [count("text"), count("visual")];
    const { hidden_size: width } = network.config;
    const { text, visual } = allOrNone((own) => ({
      text: texts ? own(device.tensor({ shape: [texts], dtype: "u32", label: "prefix.ids" })) : undefined,
      visual: visuals
        ? own(device.tensor({ shape: [visuals, width], dtype: "f32", label: "prefix.visual" }))
        : undefined,
    }));
    try {
      const cmd = device.record(`prefix ${texts}+${visuals}`);
      const embedded = text && network.embed(cmd, text); // [Tt, D]
      const x = splice(cmd, runs, embedded, visual); // [1, T, D]
      const { lastHiddenState } = network.forward(cmd, x, cache, start); // [1, T, D]
      const program = await cmd.finish({ outputs: [lastHiddenState] });
      return new StretchProgram(program, text, visual);
    } catch (error) {
      text?.dispose();
      visual?.dispose();
      throw error;
    }
  }

  /** @param visual [Tv', D] @param first which of its rows is the stretch's first */
  run(device: Device, ids: readonly number[], visual: Tensor | undefined, first: number): void {
    if (this.#text) device.write(this.#text, Uint32Array.from(ids));
    if (this.#visual && visual) {
      const [rows, width] = this.#visual.shape as [number, number];
      const from = { from: visual, fromByte: 4 * first * width };
      copyBytes(device, [{ ...from, to: this.#visual, toByte: 0, bytes: 4 * rows * width }]);
    }
    this.#program.run();
  }

  [Symbol.dispose](): void {
    this.#program.dispose();
    this.#text?.dispose();
    this.#visual?.dispose();
  }
}

/** Runs prefixes into a cache of its own, one after the other; programs are replayed for prefixes of one layout. */
export class PrefixRunner implements Disposable {
  /** Holds the last prefix that was run. */
  readonly cache: KvCache;
  readonly #device: Device;
  readonly #network: LlamaNetwork;
  readonly #start: Tensor;
  readonly #programs: ByteCache<StretchProgram>;

  constructor(
    device: Device,
    network: LlamaNetwork,
    options: { readonly capacity: number; readonly dtype: KvDType; readonly mostBytes: number },
  ) {
    const { capacity, dtype, mostBytes } = options;
    this.#device = device;
    this.#network = network;
    const { cache, start } = allOrNone((own) => ({
      cache: own(new KvCache(device, network.config, { capacity, dtype })),
      start: own(device.tensor({ shape: [1], dtype: "u32", label: "prefix.start" })),
    }));
    this.cache = cache;
    this.#start = start;
    this.#programs = new ByteCache(mostBytes);
  }

  /** Submits the work; what is submitted after it finds the prefix in the cache. */
  async run({ family, prefix }: SharedPrefix): Promise<void> {
    const image = family.imageTokenId ?? -1;
    let visuals = 0;
    for (let first = 0; first < prefix.length; first += chunk) {
      const ids = prefix.slice(first, first + chunk);
      const runs = promptRuns(ids, image);
      const key = runs.map(({ kind, count }) => `${kind} ${count}`).join();
      const program =
        this.#programs.take(key) ??
        (await StretchProgram.record(this.#device, this.#network, runs, this.cache, this.#start));
      this.#device.write(this.#start, Uint32Array.of(first));
      const texts = ids.filter((id) => id !== image);
      program.run(this.#device, texts, family.visual, visuals);
      this.#programs.put(key, program);
      visuals += ids.length - texts.length;
    }
  }

  dispose(): void {
    this.#programs.dispose();
    this.#start.dispose();
    this.cache.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
