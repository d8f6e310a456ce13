import {
  add,
  conv2d,
  layerNorm2d,
  permute,
  type Recorder,
  ShapeError,
  type Tensor,
} from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { LayerNorm, Linear } from "../nn/index.ts";
import { type SamVisionConfig, samGrid } from "./config.ts";
import { resampleGrid } from "./resample-grid.ts";
import { VisionLayer } from "./vision-layer.ts";

/** Of the norms that transformers' SAM builds without the configuration's: `SamLayerNorm`'s default. */
export const fixedNormEps = 1e-6;

export interface SamVisionOutput {
  /** Patches and positions. [B, g, g, D] */
  readonly embeddings: Tensor;
  /** Behind each layer. [B, g, g, D] */
  readonly layers: readonly Tensor[];
  /** Behind the neck. [B, C, g, g] */
  readonly imageEmbeddings: Tensor;
}

/** SAM's image encoder (Kirillov et al. 2023; transformers' `SamVisionEncoder`): a ViT with windows, and a neck. */
export class SamVisionEncoder {
  readonly config: SamVisionConfig;
  /** Patches a side. */
  readonly grid: number;
  readonly layers: readonly VisionLayer[];
  readonly #patchWeight: Tensor; // [D, 3, p, p]
  readonly #patchBias: Tensor; // [D]
  readonly #positions: Tensor | undefined; // [g, g, D]
  readonly #neck1: Linear;
  readonly #neckNorm1: LayerNorm;
  readonly #neck2: Tensor; // [C, C, 3, 3]
  readonly #neckNorm2: LayerNorm;

  /**
   * Takes `patch_embed`, `pos_embed`, `layers`, `neck` at the cursor.
   * @param grid patches a side; where it is not the trained one, positions are resampled (bilinearly) and global tables
   * of relative positions interpolated
   */
  constructor(w: Weights, config: SamVisionConfig, grid = samGrid(config)) {
    this.config = config;
    this.grid = grid;
    const {
      hidden_size: width,
      patch_size: patch,
      num_channels: channels,
      output_channels: outputs,
    } = config;
    const trained = samGrid(config);
    this.#patchWeight = w.take("patch_embed.projection.weight", [width, channels, patch, patch]);
    this.#patchBias = w.take("patch_embed.projection.bias", [width], { dtype: "f32" });
    this.#positions = config.use_abs_pos ? positionsOf(w, width, grid, trained) : undefined;
    const globals = new Set(config.global_attn_indexes);
    this.layers = Array.from({ length: config.num_hidden_layers }, (_, i) => {
      const window = globals.has(i) ? 0 : config.window_size;
      return new VisionLayer(w.at(`layers.${i}`), config, window, { size: grid, trained });
    });
    const neck = w.at("neck");
    // a 1x1 convolution is a linear layer where channels come last
    this.#neck1 = new Linear(neck.take("conv1.weight", [outputs, width, 1, 1]).reshape([outputs, width]));
    this.#neckNorm1 = LayerNorm.load(neck.at("layer_norm1"), outputs, fixedNormEps);
    this.#neck2 = neck.take("conv2.weight", [outputs, outputs, 3, 3]);
    this.#neckNorm2 = LayerNorm.load(neck.at("layer_norm2"), outputs, fixedNormEps);
  }

  /** pixels [B, 3, S, S], normalised, of `grid` patches a side. */
  forward(cmd: Recorder, pixels: Tensor): SamVisionOutput {
    const { patch_size: patch } = this.config;
    const [, , height, width] = pixels.shape as [number, number, number, number];
    if (Math.floor(height / patch) !== this.grid || Math.floor(width / patch) !== this.grid)
      throw new ShapeError(
        `SAM: an image of ${height}x${width} pixels is not ${this.grid}x${this.grid} patches of ${patch}`,
      );
    const patches = conv2d(cmd, pixels, this.#patchWeight, { bias: this.#patchBias, stride: patch }); // [B, D, g, g]
    const tokens = permute(cmd, patches, [0, 2, 3, 1]); // [B, g, g, D]
    const embeddings = this.#positions ? add(cmd, tokens, this.#positions) : tokens; // [B, g, g, D]
    const layers: Tensor[] = [];
    let x = embeddings;
    for (const layer of this.layers) {
      x = layer.forward(cmd, x); // [B, g, g, D]
      layers.push(x);
    }
    return { embeddings, layers, imageEmbeddings: this.#neckOf(cmd, x) };
  }

  /** [B, g, g, D] -> [B, C, g, g] */
  #neckOf(cmd: Recorder, x: Tensor): Tensor {
    const narrow = this.#neckNorm1.forward(cmd, this.#neck1.forward(cmd, x)); // [B, g, g, C]
    const maps = permute(cmd, narrow, [0, 3, 1, 2]); // [B, C, g, g]
    const smooth = conv2d(cmd, maps, this.#neck2, { padding: 1 }); // [B, C, g, g]
    const { weight, bias, eps } = this.#neckNorm2;
    return layerNorm2d(cmd, smooth, weight, bias, eps); // [B, C, g, g]
  }
}

/** [1, trained, trained, D] as stored -> [grid, grid, D] */
function positionsOf(w: Weights, width: number, grid: number, trained: number): Tensor {
  const shape = [1, trained, trained, width];
  if (grid === trained) return w.take("pos_embed", shape, { dtype: "f32" }).reshape([grid, grid, width]);
  return w.derive({
    label: `pos_embed at ${grid}x${grid}`,
    shape: [grid, grid, width],
    dtype: "f32",
    from: { stored: { name: "pos_embed", shape } },
    compute: ({ stored }) => resampleGrid(stored as Float32Array, trained, grid, width),
  });
}
