import { advance, type Device, type Recorder, sample, settingsCount, type Tensor } from "@mask-llava/runtime";
import { allOrNone } from "../nn/index.ts";
import type { GenerationSettings } from "../text/index.ts";

/** A sequence whose next token is to be chosen. */
export interface DecodedSequence {
  /** Prompt and new tokens so far; at least one. */
  readonly ids: readonly number[];
  /** Of the random numbers, where tokens are drawn. */
  readonly seed: number;
  /** New tokens among the ids: as many random numbers are spent. Default 0. */
  readonly drawn?: number;
}

/** Stands in rows that hold no sequence; what they compute is not read. */
const noSequence: DecodedSequence = { ids: [0], seed: 0 };

/**
 * What decoding sequences needs on the GPU besides their KV cache. Programs read and write it, so that a step replays
 * without the host; the caller disposes it.
 */
export class DecodingState implements Disposable {
  /** u32 [B]: each sequence's last token, which the next step embeds. */
  readonly last: Tensor;
  /** u32 [B]: its position. */
  readonly position: Tensor;
  /** u32 [B, capacity]: each sequence's tokens, prompt and new ones. */
  readonly history: Tensor;
  readonly #device: Device;
  readonly #batch: number;
  readonly #capacity: number;
  readonly #tensors: {
    length: Tensor;
    random: Tensor;
    done: Tensor;
    eos: Tensor;
    settings: Tensor;
  };
  readonly #draw: boolean;
  readonly #penalty: boolean;

  /** @param options.capacity most tokens of prompt and answer of a sequence @param options.batch sequences, default 1 */
  constructor(
    device: Device,
    settings: GenerationSettings,
    options: { readonly capacity: number; readonly batch?: number },
  ) {
    const { capacity, batch = 1 } = options;
    const { doSample, temperature, topK, topP, minP, repetitionPenalty, eosTokenIds } = settings;
    this.#device = device;
    this.#batch = batch;
    this.#capacity = capacity;
    this.#draw = doSample;
    this.#penalty = repetitionPenalty !== 1;
    const eos = eosTokenIds.length ? eosTokenIds : [0xfffffffe];
    const { last, position, history, ...tensors } = allOrNone((own) => {
      const words = (label: string, shape: number[], values?: Uint32Array) =>
        own(device.tensor({ shape, dtype: "u32", label: `decoding.${label}` }, values));
      return {
        last: words("last", [batch]),
        position: words("position", [batch]),
        history: words("history", [batch, capacity]),
        length: words("length", [batch]),
        random: words("random", [batch, 2]),
        done: words("done", [batch]),
        eos: words("eos", [eos.length], Uint32Array.from(eos)),
        settings: own(
          device.tensor(
            { shape: [settingsCount], dtype: "f32", label: "decoding.settings" },
            Float32Array.of(temperature, topK, topP, minP, repetitionPenalty),
          ),
        ),
      };
    });
    this.last = last;
    this.position = position;
    this.history = history;
    this.#tensors = tensors;
  }

  /** Sets the first rows to sequences, at most as many as there are rows. */
  begin(sequences: readonly DecodedSequence[]): void {
    const rows = Array.from({ length: this.#batch }, (_, b) => sequences[b] ?? noSequence);
    const write = (tensor: Tensor, values: readonly number[]) =>
      this.#device.write(tensor, Uint32Array.from(values));
    const { length, random, done } = this.#tensors;
    write(
      this.last,
      rows.map(({ ids }) => ids.at(-1) as number),
    );
    // advancing by the next token gives its position
    write(
      this.position,
      rows.map(({ ids }) => ids.length - 1),
    );
    write(
      length,
      rows.map(({ ids }) => ids.length),
    );
    write(
      random,
      rows.flatMap(({ seed, drawn = 0 }) => [seed, drawn]),
    );
    write(
      done,
      rows.map(() => 0),
    );
    const ids = new Uint32Array(this.#batch * this.#capacity);
    for (const [b, row] of rows.entries()) ids.set(row.ids, b * this.#capacity);
    this.#device.write(this.history, ids);
  }

  /** Chooses the next tokens from logits [B, V] and moves the state on. Returns the tokens, u32 [B]. */
  step(cmd: Recorder, logits: Tensor): Tensor {
    const { length, random, done, eos, settings } = this.#tensors;
    const { last, position, history } = this;
    const token = sample(
      cmd,
      { logits, history, length, random, settings },
      { draw: this.#draw, penalty: this.#penalty },
    ); // [B]
    advance(cmd, { token, eos, last, history, length, position, random, done });
    return token;
  }

  dispose(): void {
    const { last, position, history } = this;
    for (const tensor of [last, position, history, ...Object.values(this.#tensors)]) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
