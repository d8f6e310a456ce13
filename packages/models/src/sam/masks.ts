import type { Device, Tensor } from "@mask-llava/runtime";
import type { Geometry, Size } from "../images/index.ts";
import { checkFinite, type Turns } from "../nn/index.ts";
import type { MaskKind, MaskUpsampler } from "./mask-upsampler.ts";
import { copyRows } from "./replay.ts";

/** Values on the host, row-major. */
export interface SamValues {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The mask with the highest predicted intersection over union, of each prompt. */
export interface BestMasks {
  /** Which of the prompt's K masks. [P] */
  readonly indices: readonly number[];
  /** Its score. [P] */
  readonly scores: readonly number[];
}

/** SAM's answer to some prompts on one picture. Owns its low-resolution masks; they can be given back as `maskInput`. */
export class SamMasks implements Disposable {
  /** Logits of low resolution, on the GPU. [P, K, side, side] */
  readonly predMasks: Tensor;
  /** Predicted intersections over union. [P, K] */
  readonly iouScores: SamValues;
  readonly geometry: Geometry;
  readonly #device: Device;
  readonly #upsampler: MaskUpsampler;
  readonly #turns: Turns;

  constructor(init: {
    device: Device;
    predMasks: Tensor;
    iouScores: SamValues;
    geometry: Geometry;
    upsampler: MaskUpsampler;
    turns: Turns;
  }) {
    this.predMasks = init.predMasks;
    this.iouScores = init.iouScores;
    this.geometry = init.geometry;
    this.#device = init.device;
    this.#upsampler = init.upsampler;
    this.#turns = init.turns;
  }

  get prompts(): number {
    return this.predMasks.shape[0] as number;
  }

  /** K: three for an ambiguous prompt, one otherwise. */
  get masksPerPrompt(): number {
    return this.predMasks.shape[1] as number;
  }

  /** Of the picture, and so of full masks. */
  get size(): Size {
    return this.geometry.original;
  }

  /** [P, K, side, side] */
  async readPredMasks(): Promise<SamValues> {
    const data = (await this.#device.read(this.predMasks)) as Float32Array;
    return { shape: this.predMasks.shape, data };
  }

  /** Every mask at the picture's size, on the host. [P, K, H, W] */
  readMaskLogits(kind: MaskKind = "logits"): Promise<SamValues> {
    return this.#read(this.#all(), [this.prompts, this.masksPerPrompt], kind);
  }

  /** Every mask at the picture's size, on the GPU; the caller disposes it. [P, K, H, W] */
  maskLogits(kind: MaskKind = "logits"): Promise<Tensor> {
    return this.#enlarge(this.#all(), [this.prompts, this.masksPerPrompt], kind);
  }

  /** Picks by the predicted scores; of equal ones the first. @throws RuntimeError NOT_FINITE for scores that are no numbers */
  best(): BestMasks {
    const k = this.masksPerPrompt;
    const rows = Array.from({ length: this.prompts }, (_, p) =>
      this.iouScores.data.subarray(p * k, (p + 1) * k),
    );
    checkFinite("SAM's predicted scores", this.iouScores.data);
    const indices = rows.map((row) => row.indexOf(Math.max(...row)));
    return { indices, scores: rows.map((row, p) => row[indices[p] as number] as number) };
  }

  /** The best mask of each prompt at the picture's size, on the host. [P, H, W] */
  readBestMasks(kind: MaskKind = "binary"): Promise<SamValues> {
    return this.#read(this.#bestRows(), [this.prompts], kind);
  }

  /**
   * The best mask of each prompt at the picture's size, one after the other, 1 inside and 0 outside. What is not kept takes
   * no memory, and what is kept a byte a pixel: a picture of megapixels may have hundreds of prompts.
   * @param visit is handed the mask of a prompt, which is its own. [H, W]
   * @param prompts which, and in what order; default: all
   */
  async visitBestMasks(
    visit: (mask: Uint8Array, prompt: number) => void,
    prompts?: readonly number[],
  ): Promise<void> {
    const best = this.#bestRows();
    const order = prompts ?? best.map((_, p) => p);
    const rows = order.map((p) => best[p] as number);
    const pixels = this.size.height * this.size.width;
    await this.#eachChunk(rows, "binary", (values, first) => {
      for (let at = 0; at < values.length; at += pixels)
        visit(new Uint8Array(values.subarray(at, at + pixels)), order[first + at / pixels] as number);
    });
  }

  /** The best mask of each prompt at the picture's size, on the GPU; the caller disposes it. [P, H, W] */
  bestMasks(kind: MaskKind = "binary"): Promise<Tensor> {
    return this.#enlarge(this.#bestRows(), [this.prompts], kind);
  }

  dispose(): void {
    this.predMasks.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #all(): number[] {
    return Array.from({ length: this.prompts * this.masksPerPrompt }, (_, i) => i);
  }

  #bestRows(): number[] {
    return this.best().indices.map((index, p) => p * this.masksPerPrompt + index);
  }

  async #read(rows: readonly number[], lead: readonly number[], kind: MaskKind): Promise<SamValues> {
    const { height, width } = this.size;
    const data = new Float32Array(rows.length * height * width);
    await this.#eachChunk(rows, kind, (values, first) => data.set(values, first * height * width));
    return { shape: [...lead, height, width], data };
  }

  /** Hands over the masks of `rows` some at a time [n, H, W], with the place of the first among them. */
  #eachChunk(
    rows: readonly number[],
    kind: MaskKind,
    sink: (values: Float32Array, first: number) => void,
  ): Promise<void> {
    const pixels = this.size.height * this.size.width;
    return this.#turns.take(() =>
      this.#upsampler.run(this.predMasks, rows, kind, this.geometry, async ({ maps, first, count }) => {
        const part = (await this.#device.read(maps)) as Float32Array;
        sink(part.subarray(0, count * pixels), first);
      }),
    );
  }

  #enlarge(rows: readonly number[], lead: readonly number[], kind: MaskKind): Promise<Tensor> {
    const { height, width } = this.size;
    const shape = [...lead, height, width];
    return this.#turns.take(async () => {
      const target = this.#device.tensor({ shape, dtype: "f32", label: `${kind} masks` });
      try {
        await this.#upsampler.run(this.predMasks, rows, kind, this.geometry, ({ maps, first, count }) => {
          const copies = Array.from({ length: count }, (_, i) => ({
            from: maps,
            fromRow: i,
            to: target,
            toRow: first + i,
          }));
          copyRows(this.#device, height * width, copies);
        });
        return target;
      } catch (error) {
        target.dispose();
        throw error;
      }
    });
  }
}
