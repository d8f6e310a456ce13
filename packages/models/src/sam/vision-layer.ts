import {
  type Activation,
  attention,
  pad,
  permute,
  type Recorder,
  slice,
  type Tensor,
} from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";
import { LayerNorm, Linear } from "../nn/index.ts";
import type { SamVisionConfig } from "./config.ts";
import { RelativePositions } from "./relative-positions.ts";

/** Cuts a map into windows, with zeros to the right and below where they do not divide it: [B, h, w, D] -> [B·n, s, s, D]. */
function toWindows(cmd: Recorder, x: Tensor, side: number): Tensor {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const [rows, columns] = [Math.ceil(height / side), Math.ceil(width / side)];
  const [below, right] = [rows * side - height, columns * side - width];
  const whole =
    below + right === 0
      ? x
      : pad(cmd, x, [
          [0, 0],
          [0, below],
          [0, right],
          [0, 0],
        ]); // [B, rows·s, columns·s, D]
  const cut = whole.reshape([batch, rows, side, columns, side, channels]);
  return permute(cmd, cut, [0, 1, 3, 2, 4, 5]).reshape([batch * rows * columns, side, side, channels]);
}

/** The way back: [B·n, s, s, D] -> [B, h, w, D]. */
function fromWindows(cmd: Recorder, windows: Tensor, shape: readonly number[]): Tensor {
  const [batch, height, width, channels] = shape as [number, number, number, number];
  const side = windows.shape[1] as number;
  const [rows, columns] = [Math.ceil(height / side), Math.ceil(width / side)];
  const cut = windows.reshape([batch, rows, columns, side, side, channels]);
  const whole = permute(cmd, cut, [0, 1, 3, 2, 4, 5]).reshape([batch, rows * side, columns * side, channels]);
  if (rows * side === height && columns * side === width) return whole; // [B, h, w, D]
  return slice(cmd, whole, [0, 0, 0, 0], shape); // [B, h, w, D]
}

/** Self-attention over a square map with decomposed relative positions (`SamVisionAttention`). */
class VisionAttention {
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly relative: RelativePositions | undefined;
  readonly heads: number;

  /** @param size places a side of what attends: a window, or the map; `trained` for what its tables are stored */
  constructor(w: Weights, config: SamVisionConfig, size: number, trained: number) {
    const { hidden_size: width, num_attention_heads: heads } = config;
    this.heads = heads;
    this.qkv = Linear.load(w.at("qkv"), width, 3 * width, { bias: config.qkv_bias });
    this.proj = Linear.load(w.at("proj"), width, width);
    this.relative = config.use_rel_pos ? new RelativePositions(w, width / heads, size, trained) : undefined;
  }

  /** Everything but the output projection, which is applied where there are no padded places: [B, n, n, D] -> same. */
  mix(cmd: Recorder, x: Tensor): Tensor {
    const [batch, height, width, channels] = x.shape as [number, number, number, number];
    const tokens = height * width;
    const all = this.qkv.forward(cmd, x).reshape([batch, tokens, 3 * channels]); // [B, T, 3·D]
    const heads = [this.heads, channels / this.heads];
    const part = (i: number): Tensor =>
      slice(cmd, all, [0, 0, i * channels], [batch, tokens, (i + 1) * channels]).reshape([
        batch,
        tokens,
        ...heads,
      ]);
    const q = part(0); // [B, T, H, d]
    const k = part(1); // [B, T, H, d]
    const v = part(2); // [B, T, H, d]
    const relative = this.relative?.forward(cmd, q.reshape([batch, height, width, ...heads])); // [B, H, T, n] twice
    return attention(cmd, q, k, v, relative).reshape(x.shape); // [B, n, n, D]
  }
}

/** A block of SAM's encoder (`SamVisionLayer`): attention within windows or over the whole map, then an MLP. */
export class VisionLayer {
  readonly norm1: LayerNorm;
  readonly attention: VisionAttention;
  readonly norm2: LayerNorm;
  readonly lin1: Linear;
  readonly lin2: Linear;
  readonly activation: Activation;
  /** Side of a window; 0: global. */
  readonly window: number;

  /** @param grid patches a side that the network runs at, and those that it was trained at */
  constructor(w: Weights, config: SamVisionConfig, window: number, grid: { size: number; trained: number }) {
    const { hidden_size: width, mlp_dim: inner, layer_norm_eps: eps } = config;
    const { size, trained } = window ? { size: window, trained: window } : grid;
    this.window = window;
    this.norm1 = LayerNorm.load(w.at("layer_norm1"), width, eps);
    this.attention = new VisionAttention(w.at("attn"), config, size, trained);
    this.norm2 = LayerNorm.load(w.at("layer_norm2"), width, eps);
    this.lin1 = Linear.load(w.at("mlp.lin1"), width, inner);
    this.lin2 = Linear.load(w.at("mlp.lin2"), inner, width);
    this.activation = config.hidden_act;
  }

  /** [B, h, w, D] -> [B, h, w, D] */
  forward(cmd: Recorder, x: Tensor): Tensor {
    const normed = this.norm1.forward(cmd, x); // [B, h, w, D]
    const mixed = this.window
      ? fromWindows(cmd, this.attention.mix(cmd, toWindows(cmd, normed, this.window)), x.shape)
      : this.attention.mix(cmd, normed); // [B, h, w, D]
    const y = this.attention.proj.forward(cmd, mixed, { residual: x }); // x + MSA(LN(x)) [B, h, w, D]
    const h = this.lin1.forward(cmd, this.norm2.forward(cmd, y), { activation: this.activation }); // [B, h, w, F]
    return this.lin2.forward(cmd, h, { residual: y }); // y + MLP(LN(y)) [B, h, w, D]
  }
}
