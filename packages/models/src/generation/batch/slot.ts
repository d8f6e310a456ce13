import { type Device, gatherRows, type Program, type Tensor } from "@mask-llava/runtime";
import { KvCache, type KvDType, type LlamaNetwork } from "../../llama/index.ts";
import { allOrNone } from "../../nn/index.ts";
import type { GenerationSettings } from "../../text/index.ts";
import { type DecodedSequence, DecodingState } from "../decoding-state.ts";

export interface SlotSize {
  /** Sequences. */
  readonly batch: number;
  /** Positions of each. */
  readonly capacity: number;
}

export interface SlotModel {
  readonly device: Device;
  readonly network: LlamaNetwork;
  readonly settings: GenerationSettings;
  readonly cacheDtype: KvDType;
}

/** A prompt's ending, to be run behind a prefix that the slot's cache holds. */
export interface Ending {
  /** Positions of the prefix. */
  readonly start: number;
  readonly ids: readonly number[];
}

interface EndingsProgram {
  readonly ids: Tensor; // u32 [B, T]
  readonly rows: Tensor; // u32 [B]
  readonly token: Tensor; // u32 [B]
  readonly program: Program;
}

interface DecodeProgram {
  readonly token: Tensor; // u32 [B]
  readonly program: Program;
}

/** Room for sequences that are decoded side by side: their KV cache and the programs on it, recorded when first needed. */
export class Slot implements Disposable {
  readonly size: SlotSize;
  readonly cache: KvCache;
  readonly #model: SlotModel;
  readonly #state: DecodingState;
  /** u32 [B]: positions that the cache holds when endings are run. */
  readonly #start: Tensor;
  readonly #endings = new Map<number, EndingsProgram>();
  #decode: DecodeProgram | undefined;

  constructor(model: SlotModel, size: SlotSize) {
    const { device, network, settings, cacheDtype } = model;
    const { batch, capacity } = size;
    this.size = size;
    this.#model = model;
    const { cache, state, start } = allOrNone((own) => ({
      cache: own(new KvCache(device, network.config, { batch, capacity, dtype: cacheDtype })),
      state: own(new DecodingState(device, settings, { batch, capacity })),
      start: own(device.tensor({ shape: [batch], dtype: "u32", label: "endings.start" })),
    }));
    this.cache = cache;
    this.#state = state;
    this.#start = start;
  }

  /** GPU memory held. */
  get bytes(): number {
    const { network, cacheDtype } = this.#model;
    const programs = [...this.#endings.values(), this.#decode].flatMap((p) => p?.program.bytes ?? 0);
    return programs.reduce(
      (a, b) => a + b,
      KvCache.bytes(network.config, { ...this.size, dtype: cacheDtype }),
    );
  }

  /** Sets the rows to sequences whose keys and values, but for the last id's, are in the cache. */
  begin(sequences: readonly DecodedSequence[]): void {
    this.#state.begin(sequences);
  }

  /**
   * Runs endings of at most `length` tokens, each behind its prefix, after `begin` with whole prompts.
   * @returns each one's first new token
   */
  async runEndings(endings: readonly Ending[], length: number): Promise<Uint32Array> {
    const { device } = this.#model;
    const { batch } = this.size;
    const recorded = this.#endings.get(length) ?? (await this.#recordEndings(length));
    this.#endings.set(length, recorded);
    const ids = new Uint32Array(batch * length);
    const [rows, start] = [new Uint32Array(batch), new Uint32Array(batch)];
    for (const [b, ending] of endings.entries()) {
      ids.set(ending.ids, b * length);
      rows[b] = b * length + ending.ids.length - 1;
      start[b] = ending.start;
    }
    device.write(recorded.ids, ids);
    device.write(recorded.rows, rows);
    device.write(this.#start, start);
    const [token] = await recorded.program.runAndRead([recorded.token]);
    return token as Uint32Array;
  }

  /** Decodes one more token of every sequence. */
  async step(): Promise<Uint32Array> {
    this.#decode ??= await this.#recordDecode();
    const [token] = await this.#decode.program.runAndRead([this.#decode.token]);
    return token as Uint32Array;
  }

  dispose(): void {
    for (const { program, ids, rows } of this.#endings.values()) {
      program.dispose();
      ids.dispose();
      rows.dispose();
    }
    this.#endings.clear();
    this.#decode?.program.dispose();
    this.#start.dispose();
    this.#state.dispose();
    this.cache.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #recordEndings(length: number): Promise<EndingsProgram> {
    const { device, network } = this.#model;
    const { batch } = this.size;
    const { ids, rows } = allOrNone((own) => {
      const words = (label: string, shape: number[]) => own(device.tensor({ shape, dtype: "u32", label }));
      return { ids: words("endings.ids", [batch, length]), rows: words("endings.rows", [batch]) };
    });
    try {
      const cmd = device.record(`endings ${batch}x${length}`);
      const x = network.embed(cmd, ids); // [B, T, D]
      // what pads an ending is written behind it, where the new tokens will be
      const { lastHiddenState } = network.forward(cmd, x, this.cache, this.#start); // [B, T, D]
      const hidden = lastHiddenState.reshape([batch * length, -1]); // [B·T, D]
      const last = gatherRows(cmd, hidden, rows); // [B, D]
      const token = this.#state.step(cmd, network.logits(cmd, last)); // [B]
      return { ids, rows, token, program: await cmd.finish({ outputs: [token] }) };
    } catch (error) {
      ids.dispose();
      rows.dispose();
      throw error;
    }
  }

  async #recordDecode(): Promise<DecodeProgram> {
    const { device, network } = this.#model;
    const { batch, capacity } = this.size;
    const cmd = device.record(`decode ${batch} of ${capacity}`);
    const x = network.embed(cmd, this.#state.last.reshape([batch, 1])); // [B, 1, D]
    const { lastHiddenState } = network.forward(cmd, x, this.cache, this.#state.position); // [B, 1, D]
    const token = this.#state.step(cmd, network.logits(cmd, network.lastRow(cmd, lastHiddenState))); // [B]
    return { token, program: await cmd.finish({ outputs: [token] }) };
  }
}
