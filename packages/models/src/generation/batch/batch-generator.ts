import { CancelledError, type Device, invalidToken, RuntimeError } from "@mask-llava/runtime";
import { KvCache, type KvDType, type LlamaNetwork } from "../../llama/index.ts";
import { splicedSource } from "../../llava/splice.ts";
import { copyBytes } from "../../nn/index.ts";
import type { GenerationSettings, Tokenizer } from "../../text/index.ts";
import { PromptError } from "../errors.ts";
import {
  checkPrompt,
  type FinishReason,
  type GenerateControls,
  type Generation,
  generate,
} from "../generate.ts";
import { TextStream } from "../text-stream.ts";
import { ByteCache } from "./byte-cache.ts";
import { cacheCopies } from "./cache-copies.ts";
import { PrefixRunner } from "./prefix-runner.ts";
import { distinctPrompts, type PromptFamily, type SharedPrefix, sharedPrefixes } from "./prompt-families.ts";
import { batchClass, capacityClass, endingClass } from "./size-classes.ts";
import { Slot, type SlotSize } from "./slot.ts";

/** What can be said of many answers at once. */
export type BatchControls = Pick<GenerateControls, "stop" | "signal" | "cacheDtype">;

export type BatchedGeneration = Omit<Generation, "promptLogits" | "timings">;

export interface BatchedGenerations {
  /** One a prompt, of each family. */
  readonly generations: readonly (readonly BatchedGeneration[])[];
  /** Wall milliseconds of all together: running the prompts, and decoding. */
  readonly timings: { readonly prefill: number; readonly decode: number };
}

/** Most bytes of what is kept for replays, where the device's budget allows them. */
const mostBytes = 2 ** 30;
/** Rows that the endings of sequences side by side have, padding and all; bounds the memory of activations. */
const mostRows = 1024;
/** Endings run side by side are at least so long, as a share of the longest: the rest is padding. */
const leastShare = 0.8;
/** Positions for new tokens in the first slot of a sequence; who needs more moves on. */
const firstRoom = 8;

/** A prompt on its way to an answer. */
class Pending {
  readonly prompt: readonly number[];
  /** How many of its first ids are run once for all that share them. */
  readonly shared: number;
  readonly seed: number;
  readonly newIds: number[] = [];
  finishReason: FinishReason | undefined;
  readonly #limit: number;
  readonly #stream: TextStream;
  readonly #settings: GenerationSettings;

  constructor(
    init: { readonly prompt: readonly number[]; readonly shared: number; readonly limit: number },
    settings: GenerationSettings,
    tokenizer: Tokenizer,
    stop: readonly string[],
  ) {
    this.prompt = init.prompt;
    this.shared = init.shared;
    this.seed = settings.seed ?? Math.floor(Math.random() * 2 ** 32);
    this.#limit = init.limit;
    this.#settings = settings;
    this.#stream = new TextStream(tokenizer, stop);
  }

  get ending(): readonly number[] {
    return this.prompt.slice(this.shared);
  }

  /** Prompt and new tokens. */
  get length(): number {
    return this.prompt.length + this.newIds.length;
  }

  /** Most tokens that there may be in all. */
  get mostLength(): number {
    return this.prompt.length + this.#limit;
  }

  take(id: number): void {
    if (id === invalidToken)
      throw new RuntimeError("NUMERIC", "the model's logits are not finite: no token can be chosen");
    this.newIds.push(id);
    if (this.#settings.eosTokenIds.includes(id)) this.finishReason = "eos";
    else {
      this.#stream.push(id);
      if (this.#stream.stopped) this.finishReason = "stop";
      else if (this.newIds.length === this.#limit) this.finishReason = "length";
    }
    if (this.finishReason && !this.#stream.stopped) this.#stream.finish();
  }

  get sequence() {
    return { ids: [...this.prompt, ...this.newIds], seed: this.seed, drawn: this.newIds.length };
  }

  get generation(): BatchedGeneration {
    return {
      inputIds: this.prompt,
      newIds: this.newIds,
      text: this.#stream.text,
      finishReason: this.finishReason as FinishReason,
    };
  }
}

interface Group {
  readonly shared: SharedPrefix;
  readonly pending: readonly Pending[];
}

/**
 * Continues many prompts at once: what families of prompts have in common is run once, their endings and new tokens side by
 * side, and sequences that have ended make room. Each answer is what `generate` gives, but for the rounding of sums. Programs
 * are kept and replayed, so calls must not overlap.
 */
export class BatchGenerator implements Disposable {
  readonly #device: Device;
  readonly #network: LlamaNetwork;
  readonly #tokenizer: Tokenizer;
  readonly #settings: GenerationSettings;
  readonly #cacheDtype: KvDType;
  readonly #mostBytes: number;
  readonly #slots: ByteCache<Slot>;
  #runner: PrefixRunner | undefined;

  constructor(
    device: Device,
    network: LlamaNetwork,
    tokenizer: Tokenizer,
    settings: GenerationSettings,
    options: { readonly cacheDtype?: KvDType | undefined } = {},
  ) {
    const { live, budget } = device.memory();
    this.#device = device;
    this.#network = network;
    this.#tokenizer = tokenizer;
    this.#settings = settings;
    this.#cacheDtype = options.cacheDtype ?? "f32";
    this.#mostBytes = Math.min(mostBytes, (budget - live) / 3);
    this.#slots = new ByteCache(this.#mostBytes);
  }

  /** @throws PromptError for an empty prompt or one that leaves no room in the context; CancelledError */
  async generate(
    families: readonly PromptFamily[],
    controls: Omit<BatchControls, "cacheDtype"> = {},
  ): Promise<BatchedGenerations> {
    const { doSample, seed } = this.#settings;
    if (doSample && seed === undefined) return this.#generate(families, controls);
    // the same prompt gets the same answer
    const distinct = families.map(distinctPrompts);
    const { generations, timings } = await this.#generate(
      distinct.map(({ family }) => family),
      controls,
    );
    const all = distinct.map(({ of }, f) => of.map((at) => generations[f]?.[at] as BatchedGeneration));
    return { generations: all, timings };
  }

  dispose(): void {
    this.#slots.dispose();
    this.#runner?.dispose();
    this.#runner = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #generate(
    families: readonly PromptFamily[],
    controls: Omit<BatchControls, "cacheDtype">,
  ): Promise<BatchedGenerations> {
    const timings = { prefill: 0, decode: 0 };
    const byPrompt = families.map(({ prompts }) => prompts.map((): Pending | undefined => undefined));
    const groups = families.flatMap((family, f) => {
      // without visual tokens its id is one that nothing stands behind
      const visualId = family.visual && family.imageTokenId;
      return sharedPrefixes(family).map((shared): Group => {
        const pending = shared.members.map((m) => {
          const prompt = family.prompts[m] as readonly number[];
          const limit = checkPrompt(prompt, this.#network, this.#settings, visualId);
          const init = { prompt, shared: shared.prefix.length, limit };
          const one = new Pending(init, this.#settings, this.#tokenizer, controls.stop ?? []);
          (byPrompt[f] as (Pending | undefined)[])[m] = one;
          return one;
        });
        return { shared, pending };
      });
    });
    for (const round of this.#rounds(groups)) await this.#runRound(round, controls.signal, timings);
    const generations: BatchedGeneration[][] = [];
    for (const [f, family] of families.entries()) {
      const own: BatchedGeneration[] = [];
      for (const [p, prompt] of family.prompts.entries()) {
        own.push(
          byPrompt[f]?.[p]?.generation ?? (await this.#generateAlone(family, prompt, controls, timings)),
        );
      }
      generations.push(own);
    }
    return { generations, timings };
  }

  /** Continues a prompt that ends with a visual token, whose ending is no text to be run beside others. */
  async #generateAlone(
    { visual, imageTokenId }: PromptFamily,
    prompt: readonly number[],
    controls: Omit<BatchControls, "cacheDtype">,
    timings: { prefill: number; decode: number },
  ): Promise<BatchedGeneration> {
    if (!visual || imageTokenId === undefined)
      throw new PromptError("a prompt has image ids, but there are no visual tokens for them");
    const source = splicedSource(this.#network, prompt, imageTokenId, visual);
    const {
      promptLogits,
      timings: own,
      ...generation
    } = await generate(this.#device, this.#network, this.#tokenizer, source, this.#settings, {
      ...controls,
      cacheDtype: this.#cacheDtype,
    });
    if (controls.signal?.aborted) throw new CancelledError();
    timings.prefill += own.prefill;
    timings.decode += own.decode;
    return generation;
  }

  /** Cuts groups so that the first slots of a round fit into memory. */
  #rounds(groups: readonly Group[]): Group[][] {
    const rounds: Group[][] = [];
    let bytes = Number.POSITIVE_INFINITY;
    for (const { shared, pending } of groups) {
      let rest = [...pending];
      while (rest.length > 0) {
        const longest = Math.max(...rest.map(({ length }) => length));
        // padding of batches and of endings included
        const each = 1.5 * this.#cacheBytes({ batch: 1, capacity: capacityClass(longest + firstRoom) });
        if (bytes + each > this.#mostBytes && bytes > 0) {
          rounds.push([]);
          bytes = 0;
        }
        const count = Math.max(1, Math.min(rest.length, Math.floor((this.#mostBytes - bytes) / each)));
        rounds.at(-1)?.push({ shared, pending: rest.slice(0, count) });
        bytes += count * each;
        rest = rest.slice(count);
      }
    }
    return rounds;
  }

  #cacheBytes(size: SlotSize): number {
    return KvCache.bytes(this.#network.config, { ...size, dtype: this.#cacheDtype });
  }

  async #runRound(
    round: readonly Group[],
    signal: AbortSignal | undefined,
    timings: { prefill: number; decode: number },
  ): Promise<void> {
    const started = performance.now();
    const places = new Map<Pending, { slot: Slot; row: number }>();
    const batches = sideBySide(round.flatMap(({ pending }) => pending));
    const slots: Slot[] = [];
    try {
      for (const batch of batches) {
        const length = endingClass(Math.max(...batch.map(({ ending }) => ending.length)));
        const most = Math.max(...batch.map((one) => Math.max(one.shared + length, one.length + firstRoom)));
        const slot = this.#takeSlot({ batch: batchClass(batch.length), capacity: capacityClass(most) });
        slots.push(slot);
        for (const [row, one] of batch.entries()) places.set(one, { slot, row });
      }
      for (const { shared, pending } of round) {
        if (signal?.aborted) throw new CancelledError();
        await this.#runPrefix(shared, pending, places);
      }
      for (const [i, batch] of batches.entries()) {
        if (signal?.aborted) throw new CancelledError();
        const slot = slots[i] as Slot;
        slot.begin(batch.map(({ sequence }) => sequence));
        const length = endingClass(Math.max(...batch.map(({ ending }) => ending.length)));
        const endings = batch.map(({ shared, ending }) => ({ start: shared, ids: ending }));
        const tokens = await slot.runEndings(endings, length);
        for (const [row, one] of batch.entries()) one.take(tokens[row] as number);
      }
      const decodeStarted = performance.now();
      timings.prefill += decodeStarted - started;
      for (const [i, batch] of batches.entries()) await this.#decode(slots, i, batch, signal);
      timings.decode += performance.now() - decodeStarted;
    } finally {
      for (const slot of slots) this.#giveBack(slot);
    }
  }

  /** Runs what a group shares, and copies it to every member's row. */
  async #runPrefix(
    shared: SharedPrefix,
    pending: readonly Pending[],
    places: ReadonlyMap<Pending, { slot: Slot; row: number }>,
  ): Promise<void> {
    const { length } = shared.prefix;
    if (length === 0) return;
    if (!this.#runner || this.#runner.cache.capacity < length) {
      this.#runner?.dispose();
      this.#runner = undefined;
      const options = {
        capacity: capacityClass(length),
        dtype: this.#cacheDtype,
        mostBytes: this.#mostBytes,
      };
      this.#runner = new PrefixRunner(this.#device, this.#network, options);
    }
    const { cache } = this.#runner;
    await this.#runner.run(shared);
    const copies = pending.flatMap((one) => {
      const { slot, row } = places.get(one) as { slot: Slot; row: number };
      return cacheCopies({ cache, row: 0 }, { cache: slot.cache, row }, length);
    });
    copyBytes(this.#device, copies);
  }

  /**
   * Decodes until every sequence has ended; those that go on move to a smaller slot where half have ended, and to a larger one
   * where there is no room.
   * @param held the slot at `at` is theirs, and is replaced when they move
   */
  async #decode(
    held: Slot[],
    at: number,
    batch: readonly Pending[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    let rows: (Pending | undefined)[] = batch.map((one) => (one.finishReason ? undefined : one));
    for (;;) {
      const live = rows.flatMap((one, row) => (one ? [{ one, row }] : []));
      if (live.length === 0) return;
      if (signal?.aborted) throw new CancelledError();
      if (this.#move(held, at, live)) rows = live.map(({ one }) => one);
      const tokens = await (held[at] as Slot).step();
      for (const [row, one] of rows.entries()) {
        one?.take(tokens[row] as number);
        if (one?.finishReason) rows[row] = undefined;
      }
    }
  }

  /** Moves sequences to a slot that fits them better, if there is one. */
  #move(held: Slot[], at: number, live: readonly { readonly one: Pending; readonly row: number }[]): boolean {
    const slot = held[at] as Slot;
    const batch = batchClass(live.length);
    const longest = Math.max(...live.map(({ one }) => one.length));
    const full = longest > slot.size.capacity;
    if (!full && 2 * batch > slot.size.batch) return false;
    const most = Math.max(...live.map(({ one }) => Math.min(one.mostLength, 2 * one.length)));
    const next = this.#takeSlot({ batch, capacity: full ? capacityClass(most) : slot.size.capacity });
    const copies = live.flatMap(({ one, row }, to) =>
      cacheCopies({ cache: slot.cache, row }, { cache: next.cache, row: to }, one.length - 1),
    );
    held[at] = next;
    copyBytes(this.#device, copies);
    next.begin(live.map(({ one }) => one.sequence));
    this.#giveBack(slot);
    return true;
  }

  #takeSlot(size: SlotSize): Slot {
    const { batch, capacity } = size;
    const kept = this.#slots.take(`${batch}x${capacity}`);
    if (kept) return kept;
    return new Slot(
      {
        device: this.#device,
        network: this.#network,
        settings: this.#settings,
        cacheDtype: this.#cacheDtype,
      },
      size,
    );
  }

  #giveBack(slot: Slot): void {
    this.#slots.put(`${slot.size.batch}x${slot.size.capacity}`, slot);
  }
}

/** Batches of prompts whose endings are of nearly one length. */
function sideBySide(pending: readonly Pending[]): Pending[][] {
  const byLength = pending.toSorted((a, b) => b.ending.length - a.ending.length);
  const batches: Pending[][] = [];
  for (const one of byLength) {
    const batch = batches.at(-1);
    const longest = batch?.[0]?.ending.length ?? 0;
    const fits = batch && (batch.length + 1) * endingClass(longest) <= mostRows;
    if (fits && one.ending.length >= leastShare * longest) batch.push(one);
    else batches.push([one]);
  }
  return batches;
}
