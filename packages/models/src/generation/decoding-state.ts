import { advance, type Device, type Recorder, sample, settingsCount, type Tensor } from "@mask-llava/runtime";
import type { GenerationSettings } from "../text/index.ts";

/**
 * What decoding one sequence needs on the GPU besides its KV cache. Programs read and write it, so that a step replays
 * without the host; the caller disposes it.
 */
export class DecodingState implements Disposable {
  /** u32 [1]: the last token, which the next step embeds. */
  readonly last: Tensor;
  /** u32 [1]: its position. */
  readonly position: Tensor;
  readonly #tensors: {
    history: Tensor;
    length: Tensor;
    random: Tensor;
    done: Tensor;
    eos: Tensor;
    settings: Tensor;
  };
  readonly #draw: boolean;
  readonly #penalty: boolean;

  /** @param promptIds what stands before the first new token @param capacity most tokens of prompt and answer */
  constructor(
    device: Device,
    promptIds: readonly number[],
    settings: GenerationSettings,
    options: { capacity: number; seed: number },
  ) {
    const words = (label: string, shape: number[], values: readonly number[]) =>
      device.tensor({ shape, dtype: "u32", label: `decoding.${label}` }, Uint32Array.from(values));
    const { doSample, temperature, topK, topP, minP, repetitionPenalty, eosTokenIds } = settings;
    this.#draw = doSample;
    this.#penalty = repetitionPenalty !== 1;
    this.last = words("last", [1], [0]);
    // advancing by the first new token, which prefill chooses, gives its position
    this.position = words("position", [1], [promptIds.length - 1]);
    const history = device.tensor({ shape: [1, options.capacity], dtype: "u32", label: "decoding.history" });
    device.write(history, Uint32Array.from(promptIds));
    this.#tensors = {
      history,
      length: words("length", [1], [promptIds.length]),
      random: words("random", [1, 2], [options.seed, 0]),
      done: words("done", [1], [0]),
      eos: words("eos", [Math.max(1, eosTokenIds.length)], eosTokenIds.length ? eosTokenIds : [0xfffffffe]),
      settings: device.tensor(
        { shape: [settingsCount], dtype: "f32", label: "decoding.settings" },
        Float32Array.of(temperature, topK, topP, minP, repetitionPenalty),
      ),
    };
  }

  /** Chooses the next token from logits [1, V] and moves the state on. Returns the token, u32 [1]. */
  step(cmd: Recorder, logits: Tensor): Tensor {
    const { history, length, random, done, eos, settings } = this.#tensors;
    const token = sample(
      cmd,
      { logits, history, length, random, settings },
      { draw: this.#draw, penalty: this.#penalty },
    ); // [1]
    advance(cmd, { token, eos, last: this.last, history, length, position: this.position, random, done });
    return token;
  }

  dispose(): void {
    for (const tensor of [this.last, this.position, ...Object.values(this.#tensors)]) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
