import {
  adamwRates,
  CancelledError,
  copyInto,
  type Device,
  embeddingAdamw,
  mapDice,
  type Program,
  slice,
  type Tensor,
} from "@mask-llava/runtime";
import type { PatchGrid } from "../clip/index.ts";
import { l2Normalize } from "../nn/index.ts";
import { derivativeOfImage, relevanceOfImage } from "./gradient.ts";
import type { LinearizedImage } from "./linearize.ts";
import { mapsToPixels, masksToPatches, type ResamplingTensors } from "./maps.ts";
import { MaskInversionError, type ResolvedOptions } from "./settings.ts";

/** What all batches of an inversion share. */
export interface BatchContext {
  readonly device: Device;
  readonly image: LinearizedImage;
  readonly grid: PatchGrid;
  /** Pixels of a patch's side. */
  readonly patch: number;
  readonly resampling: ResamplingTensors;
  /** What a patch's value adds to the sum over a map. [P] */
  readonly area: Tensor;
  /** Masks of the whole inversion: its loss is their mean. */
  readonly total: number;
  readonly options: ResolvedOptions;
}

/** Results of some of the masks, row-major. */
export interface BatchResult {
  /** [M, E] */
  readonly embeddings: Float32Array;
  /** Dice, before each step. [M, steps] */
  readonly losses: Float32Array;
  /** [M, H, W], at the first and at the last step; absent where not asked for. */
  readonly firstMaps?: Float32Array | undefined;
  readonly maps?: Float32Array | undefined;
}

/**
 * Masks that are optimised together: their state on the GPU and the programs that start it, make a step, and turn the
 * patches' values into maps. Nothing is read back before all steps are made.
 */
export class MaskBatch implements Disposable {
  readonly #owned: (Tensor | Program)[] = [];

  /**
   * @param masks [total, H, W] on the device
   * @param from,to which of them
   */
  async run(context: BatchContext, masks: Tensor, from: number, to: number): Promise<BatchResult> {
    const { device, image, grid, options } = context;
    const count = to - from;
    const width = image.embedding.shape[1] as number;
    const { iterations: steps } = options;
    const state = {
      embedding: this.#tensor(device, "embeddings", [count, width]),
      moments: this.#tensor(device, "moments", [2, count, width]),
      losses: this.#tensor(device, "losses", [count, steps]),
      step: this.#own(device.tensor({ shape: [count], dtype: "u32", label: "step" }, new Uint32Array(count))),
    };
    device.write(state.moments, new Float32Array(2 * count * width));
    const rates = this.#tensor(
      device,
      "rates",
      [steps, 2],
      adamwRates(steps, options.lr, options.betas[0], options.betas[1]),
    );

    const start = device.record("mask inversion start");
    copyInto(start, image.embedding, state.embedding); // every mask starts as the image [M, E]
    const [, height, columns] = masks.shape as [number, number, number];
    const all = count === masks.shape[0];
    const part = all ? masks : slice(start, masks, [from, 0, 0], [to, height, columns]); // [M, H, W]
    const coverage = masksToPatches(start, part, context.resampling).reshape([count, -1]); // [M, P]
    this.#own(await start.finish({ outputs: [coverage] })).run();

    const cmd = device.record("mask inversion step");
    const direction = l2Normalize(cmd, state.embedding); // t^ [M, E]
    const { relevance, signs } = relevanceOfImage(cmd, image, direction); // [M, 1+P]
    const loss = mapDice(
      cmd,
      { relevance, coverage, area: context.area },
      { rows: grid.rows, columns: grid.columns, patch: context.patch, scale: 1 / context.total },
    );
    const gradient = derivativeOfImage(cmd, image, signs, loss.gradient); // dLoss/dt^ [M, E]
    embeddingAdamw(
      cmd,
      { gradient, dice: loss.dice, anchor: image.embedding, rates, ...state },
      {
        beta1: options.betas[0],
        beta2: options.betas[1],
        epsilon: options.epsilon,
        decay: options.lr * options.weightDecay,
        alpha: options.alpha,
        scale: 1 / context.total,
      },
    );
    const step = this.#own(await cmd.finish({ outputs: [loss.maps] }));
    const patches = loss.maps.reshape([count, grid.rows, grid.columns]); // [M, gh, gw]
    const toPixels = async (name: string) => {
      const maps = device.record(name);
      const pixels = mapsToPixels(maps, patches, context.resampling); // [M, H, W]
      return { pixels, program: this.#own(await maps.finish({ outputs: [pixels] })) };
    };
    // two programs, as each holds its own output until the end
    const first = options.maps ? await toPixels("mask inversion first maps") : undefined;
    const last = options.maps ? await toPixels("mask inversion maps") : undefined;
    for (let i = 0; i < steps; i++) {
      if (options.signal?.aborted) throw new CancelledError();
      step.run();
      if (i === 0) first?.program.run();
    }
    last?.program.run();
    const read = async (t: Tensor | undefined) => t && ((await device.read(t)) as Float32Array);
    return {
      embeddings: (await device.read(state.embedding)) as Float32Array,
      losses: (await device.read(state.losses)) as Float32Array,
      firstMaps: await read(first?.pixels),
      maps: await read(last?.pixels),
    };
  }

  dispose(): void {
    for (const owned of this.#owned.splice(0).reverse()) owned.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #own<T extends Tensor | Program>(owned: T): T {
    this.#owned.push(owned);
    return owned;
  }

  #tensor(device: Device, label: string, shape: readonly number[], data?: Float32Array): Tensor {
    return this.#own(device.tensor({ shape, dtype: "f32", label }, data));
  }
}

/** Bytes of GPU memory that a mask's activations take in a step, at their largest, with its masks and maps. */
export function bytesPerMask({ blocks }: LinearizedImage, pixels: number): number {
  const [block] = blocks;
  if (!block) throw new MaskInversionError("the number of blocks", 0, "at least one");
  const [tokens, width] = block.values.shape as [number, number];
  const inner = block.slope.shape[1] as number;
  const signs = blocks.length * block.merged.block.attention.heads * Math.ceil(tokens / 32) * tokens;
  // one as wide as the MLP, and three as wide as the tower at once; a mask, two maps and what they are made through
  return 4 * (tokens * (inner + 3 * width) + signs + 6 * pixels);
}
