import {
  add,
  concat,
  conv2d,
  pad,
  permute,
  type Recorder,
  resize2d,
  ShapeError,
  slice,
  type Tensor,
} from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { LayerNorm, TransformerBlock } from "../nn/index.ts";
import type { ClipVisionConfig } from "./config.ts";

/** Rows and columns of a grid of patches. */
export interface PatchGrid {
  readonly rows: number;
  readonly columns: number;
}

/** How position embeddings are resampled for a grid other than the trained one. */
export interface PositionResampling {
  /** transformers' `interpolate_pos_encoding` does not; MaskInversion's reference does. */
  readonly antialias: boolean;
}

export interface ClipVisionOutput {
  /** `hiddenStates[i]` enters block i; the last leaves the last block. Index as Hugging Face's tuple. [B, 1+N, D] */
  readonly hiddenStates: readonly Tensor[];
  /** The last of them. [B, 1+N, D] */
  readonly lastHiddenState: Tensor;
  readonly grid: PatchGrid;
}

/** CLIP's vision transformer (Radford et al. 2021; transformers' `CLIPVisionTransformer`). */
export class ClipVisionTower {
  readonly config: ClipVisionConfig;
  /** The grid of the trained position embedding. */
  readonly grid: PatchGrid;
  readonly blocks: readonly TransformerBlock[];
  readonly preNorm: LayerNorm;
  readonly #postNorm: LayerNorm | undefined;
  readonly #patchWeight: Tensor;
  readonly #positions: Tensor;

  /**
   * Takes the tower's weights at the cursor: `embeddings…`, `pre_layrnorm` (sic), `encoder.layers…`, and `post_layernorm`,
   * which LLaVA has no use for and may lack (`postNorm: "optional"`).
   */
  constructor(
    w: Weights,
    config: ClipVisionConfig,
    { postNorm = "required" }: { postNorm?: "required" | "optional" } = {},
  ) {
    this.config = config;
    const { hidden_size: width, patch_size: patch, num_channels: channels } = config;
    const side = Math.floor(config.image_size / patch);
    this.grid = { rows: side, columns: side };
    this.#patchWeight = w.take("embeddings.patch_embedding.weight", [width, channels, patch, patch]);
    // the class token is a constant row: it is stored with its position, and the patches are padded by a zero row for it
    const rows = side * side + 1;
    this.#positions = w.derive({
      label: "embeddings.class_embedding + embeddings.position_embedding",
      shape: [rows, width],
      dtype: "f32",
      from: {
        cls: { name: "embeddings.class_embedding", shape: [width] },
        positions: { name: "embeddings.position_embedding.weight", shape: [rows, width] },
      },
      compute: ({ cls, positions }) =>
        (positions as Float32Array).map((p, i) => (i < width ? p + (cls?.[i] ?? 0) : p)),
    });
    this.preNorm = LayerNorm.load(w.at("pre_layrnorm"), width, config.layer_norm_eps);
    this.blocks = Array.from(
      { length: config.num_hidden_layers },
      (_, i) => new TransformerBlock(w.at(`encoder.layers.${i}`), config),
    );
    if (postNorm === "required" || w.hasAny("post_layernorm")) {
      this.#postNorm = LayerNorm.load(w.at("post_layernorm"), width, config.layer_norm_eps);
    }
  }

  /** The final layer norm. Throws where the tower was loaded without it. */
  get postNorm(): LayerNorm {
    if (this.#postNorm) return this.#postNorm;
    throw new RangeError("this vision tower was loaded without its final layer norm");
  }

  /** The grid of patches of an image; what is left over at the right and the bottom is not seen. */
  gridOf(height: number, width: number): PatchGrid {
    const { patch_size: patch } = this.config;
    return { rows: Math.floor(height / patch), columns: Math.floor(width / patch) };
  }

  /**
   * @param pixels [B, 3, H, W], normalised
   * @param options.resample needed where the image has another size than the model's; a ShapeError without it
   * @param options.layers run only the first so many blocks; default all
   */
  forward(
    cmd: Recorder,
    pixels: Tensor,
    options: { resample?: PositionResampling; layers?: number } = {},
  ): ClipVisionOutput {
    const { patch_size: patch, hidden_size: width } = this.config;
    const [batch, , height, columns] = pixels.shape as [number, number, number, number];
    const grid = this.gridOf(height, columns);
    const patches = conv2d(cmd, pixels, this.#patchWeight, { stride: [patch, patch] }); // [B, D, h, w]
    const tokens = permute(cmd, patches, [0, 2, 3, 1]).reshape([batch, grid.rows * grid.columns, width]); // [B, N, D]
    const rows = pad(cmd, tokens, [
      [0, 0],
      [1, 0],
      [0, 0],
    ]); // [B, 1+N, D], a zero row for the class token
    let x = this.preNorm.forward(cmd, add(cmd, rows, this.#positionsFor(cmd, grid, options.resample))); // [B, 1+N, D]
    const hiddenStates = [x];
    for (const block of this.blocks.slice(0, options.layers ?? this.blocks.length)) {
      x = block.forward(cmd, x, { causal: false }); // [B, 1+N, D]
      hiddenStates.push(x);
    }
    return { hiddenStates, lastHiddenState: x, grid };
  }

  /** The class token behind the final layer norm. [B, 1+N, D] -> [B, D] */
  pool(cmd: Recorder, lastHiddenState: Tensor): Tensor {
    const [batch, , width] = lastHiddenState.shape as [number, number, number];
    const cls = slice(cmd, lastHiddenState, [0, 0, 0], [batch, 1, width]).reshape([batch, width]); // [B, D]
    return this.postNorm.forward(cmd, cls); // [B, D]
  }

  /** Position embeddings (with the class token in row 0) for a grid. [1+N, D] */
  #positionsFor(cmd: Recorder, grid: PatchGrid, resample: PositionResampling | undefined): Tensor {
    const { rows, columns } = this.grid;
    if (grid.rows === rows && grid.columns === columns) return this.#positions;
    if (!resample) {
      throw new ShapeError(
        `CLIP: an image of ${grid.rows}x${grid.columns} patches; the position embedding is for ${rows}x${columns}, and resampling was not asked for`,
      );
    }
    const { hidden_size: width } = this.config;
    const cls = slice(cmd, this.#positions, [0, 0], [1, width]); // [1, D]
    const trained = slice(cmd, this.#positions, [1, 0], [1 + rows * columns, width]).reshape([
      1,
      rows,
      columns,
      width,
    ]);
    const maps = permute(cmd, trained, [0, 3, 1, 2]); // [1, D, rows, columns]
    const resized = resize2d(cmd, maps, [grid.rows, grid.columns], {
      mode: "bicubic",
      antialias: resample.antialias,
    });
    const patches = permute(cmd, resized, [0, 2, 3, 1]).reshape([grid.rows * grid.columns, width]); // [N, D]
    return concat(cmd, [cls, patches], 0); // [1+N, D]
  }
}
