import { type Device, ShapeError, type Tensor } from "@mask-llava/runtime";
import type { DeformableDetrConfig } from "./config.ts";
import { type BatchShape, detrGeometry, encoderProposals } from "./geometry.ts";
import { proposalWaves } from "./proposals.ts";

/** Sizes that a recorded program is for. */
export interface InputShape extends BatchShape {
  /** [height, width] of each feature level. */
  readonly levels: readonly (readonly [number, number])[];
  /** Whether any pixel may be padding. Without padding, masking is left out. */
  readonly padded: boolean;
}

/** The tensors that a forward pass reads beside the weights. Its owner disposes it. */
export class DetrInputs implements Disposable {
  readonly shape: InputShape;
  readonly pixels: Tensor; // [B, 3, H, W]
  readonly positions: Tensor; // [B, S, D]
  readonly valid: Tensor; // [B, S, 1]
  readonly validRatios: Tensor; // [B, 1, L, 2]
  readonly encoderReferences: Tensor; // [B, S, L, 2]
  readonly levelOfCell: Tensor; // u32 [S]
  readonly levelSizes: Tensor; // [L, 1, 2]
  /** Two-stage models only: logits [B, S, 4], valid [B, S, 1], waves [2, D / 2]. */
  readonly proposals: { readonly logits: Tensor; readonly valid: Tensor; readonly waves: Tensor } | undefined;
  readonly #device: Device;
  readonly #owned: Tensor[] = [];
  #mask: Uint8Array | undefined;

  constructor(device: Device, config: DeformableDetrConfig, shape: InputShape) {
    const { batch, height, width, levels } = shape;
    const cells = levels.reduce((n, [h, w]) => n + h * w, 0);
    const d = config.d_model;
    this.#device = device;
    this.shape = shape;
    try {
      this.pixels = this.#make("pixel_values", [batch, 3, height, width]);
      this.positions = this.#make("position embeddings", [batch, cells, d]);
      this.valid = this.#make("cell mask", [batch, cells, 1]);
      this.validRatios = this.#make("valid ratios", [batch, 1, levels.length, 2]);
      this.encoderReferences = this.#make("encoder reference points", [batch, cells, levels.length, 2]);
      this.levelOfCell = this.#make("level of each cell", [cells], "u32");
      this.levelSizes = this.#make("level sizes", [levels.length, 1, 2]);
      if (config.two_stage) {
        const waves = proposalWaves(device, d);
        this.#owned.push(waves);
        this.proposals = {
          logits: this.#make("proposals", [batch, cells, 4]),
          valid: this.#make("proposal mask", [batch, cells, 1]),
          waves,
        };
      }
      device.write(this.levelOfCell, Uint32Array.from(levels.flatMap(([h, w], i) => Array(h * w).fill(i))));
      device.write(this.levelSizes, Float32Array.from(levels.flatMap(([h, w]) => [w, h])));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Writes a batch; places are computed anew only where the mask differs from the last. */
  write(pixelValues: Float32Array, pixelMask: Uint8Array): void {
    const { batch, height, width, levels, padded } = this.shape;
    if (pixelValues.length !== this.pixels.size || pixelMask.length !== batch * height * width) {
      throw new ShapeError(
        `Deformable DETR: ${pixelValues.length} pixel values and ${pixelMask.length} mask values for [${this.pixels.shape.join(", ")}]`,
      );
    }
    this.#device.write(this.pixels, pixelValues);
    if (this.#mask?.every((v, i) => v === pixelMask[i])) return;
    if (!padded && !pixelMask.every((v) => v === 1))
      throw new ShapeError(
        "Deformable DETR: a padded picture for a program that was recorded without padding",
      );
    const places = detrGeometry(this.shape, levels, pixelMask, this.positions.shape[2] as number);
    this.#device.write(this.positions, places.positions);
    this.#device.write(this.valid, places.valid);
    this.#device.write(this.validRatios, places.validRatios);
    this.#device.write(this.encoderReferences, places.referencePoints);
    if (this.proposals) {
      const { logits, valid } = encoderProposals(this.shape, levels, pixelMask);
      this.#device.write(this.proposals.logits, logits);
      this.#device.write(this.proposals.valid, valid);
    }
    this.#mask = pixelMask.slice();
  }

  dispose(): void {
    for (const tensor of this.#owned.splice(0)) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #make(label: string, shape: readonly number[], dtype: "f32" | "u32" = "f32"): Tensor {
    const tensor = this.#device.tensor({ shape, dtype, label });
    this.#owned.push(tensor);
    return tensor;
  }
}
