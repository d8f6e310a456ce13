import {
  type Activation,
  conv2d,
  layerNorm2d,
  type Recorder,
  type Tensor,
  unaryOp,
} from "@mask-llava/runtime";
import { CheckpointError, type Weights } from "../checkpoint/index.ts";
import type { Box } from "../images/index.ts";
import { LayerNorm } from "../nn/index.ts";
import type { SamConfig, SamPromptEncoderConfig } from "./config.ts";

/** A click in pixels of the network's input. Label 1: object; 0: background; -1: no point; -10: padding, all zeros. */
export interface EncodedPoint {
  readonly x: number;
  readonly y: number;
  readonly label: 1 | 0 | -1 | -10;
}

/** One prompt in pixels of the network's input. */
export interface EncodedPrompt {
  readonly points: readonly EncodedPoint[];
  readonly box: Box | undefined;
}

interface HostWeights {
  /** [2, C / 2] */
  readonly frequencies: Float32Array;
  /** Of background, object, first and second corner. [C] each */
  readonly points: readonly Float32Array[];
  /** [C] */
  readonly notAPoint: Float32Array;
}

/** Where the shared positional embedding may be stored. */
const sharedNames = [
  "shared_image_embedding.positional_embedding",
  "prompt_encoder.shared_embedding.positional_embedding",
];

/** A low-resolution mask to an embedding of the map (`SamMaskEmbedding`). */
class MaskEmbedding {
  readonly convolutions: readonly { weight: Tensor; bias: Tensor }[];
  readonly norms: readonly LayerNorm[];
  readonly activation: Activation;

  constructor(w: Weights, config: SamPromptEncoderConfig) {
    const { mask_input_channels: channels, hidden_size: width, layer_norm_eps: eps } = config;
    const conv = (name: string, inputs: number, outputs: number, size: number) => ({
      weight: w.take(`${name}.weight`, [outputs, inputs, size, size]),
      bias: w.take(`${name}.bias`, [outputs], { dtype: "f32" }),
    });
    this.convolutions = [
      conv("conv1", 1, channels / 4, 2),
      conv("conv2", channels / 4, channels, 2),
      conv("conv3", channels, width, 1),
    ];
    this.norms = [
      LayerNorm.load(w.at("layer_norm1"), channels / 4, eps),
      LayerNorm.load(w.at("layer_norm2"), channels, eps),
    ];
    this.activation = config.hidden_act;
  }

  /** [B, 1, 4g, 4g] -> [B, C, g, g] */
  forward(cmd: Recorder, masks: Tensor): Tensor {
    let x = masks;
    for (const [i, { weight, bias }] of this.convolutions.entries()) {
      const norm = this.norms[i];
      x = conv2d(cmd, x, weight, { bias, stride: norm ? 2 : 1 }); // [B, c, side / 2, side / 2], then [B, C, g, g]
      if (norm) x = this.#activate(cmd, layerNorm2d(cmd, x, norm.weight, norm.bias, norm.eps));
    }
    return x;
  }

  #activate(cmd: Recorder, x: Tensor): Tensor {
    return this.activation === "none" ? x : cmd.call1(unaryOp, { x }, { kind: this.activation, a: 0, b: 0 });
  }
}

/**
 * SAM's prompt encoder (`SamPromptEncoder`). Clicks and corners are a few rows of sines: they are computed on the host, in
 * f64, since WGSL promises of `sin` no more than 11 bits. Masks are convolved on the GPU.
 */
export class SamPromptEncoder {
  readonly config: SamPromptEncoderConfig;
  readonly mask: MaskEmbedding;
  /** Instead of a mask's embedding. [C, 1, 1] */
  readonly noMask: Tensor;
  /** Positional encoding of the image's cells. [1, g·g, C] */
  readonly imagePositions: Tensor;
  /** Pixels a side of the network's input. */
  readonly imageSize: number;
  readonly #host: Promise<HostWeights>;

  /**
   * Takes `prompt_encoder` and the positional embedding that it shares with the image, which is stored as
   * `shared_image_embedding`, as `prompt_encoder.shared_embedding`, or as both.
   */
  constructor(root: Weights, config: SamConfig, imageSize: number, grid: number) {
    const w = root.at("prompt_encoder");
    this.config = config.prompt_encoder_config;
    this.imageSize = imageSize;
    const width = this.config.hidden_size;
    this.mask = new MaskEmbedding(w.at("mask_embed"), this.config);
    this.noMask = w.take("no_mask_embed.weight", [1, width], { dtype: "f32" }).reshape([width, 1, 1]);
    const known = sharedNames.filter((name) => root.has(name));
    const names = known.length > 0 ? known : sharedNames.slice(0, 1); // what is missing is reported under its first name
    const shape = [2, width / 2];
    this.imagePositions = root.derive({
      label: "image positions",
      shape: [1, grid * grid, width],
      dtype: "f32",
      from: { frequencies: { name: names[0] as string, shape } },
      compute: ({ frequencies }) => imagePositions(frequencies as Float32Array, grid),
    });
    this.#host = readHost(root, names, shape);
    this.#host.catch(() => {}); // `ready` tells
  }

  /** Resolves once the host has its part of the weights; rejects with a CheckpointError where they are not as they should be. */
  async ready(): Promise<void> {
    await this.#host;
  }

  /** The tokens of one prompt, flat: [t, C]. Points without a box end in a token that says so, as in the reference. */
  async tokens({ points, box }: EncodedPrompt): Promise<Float32Array> {
    const host = await this.#host;
    const width = this.config.hidden_size;
    const rows = points.map((point) => this.#point(host, point));
    if (box) {
      const [x0, y0, x1, y1] = box;
      rows.push(
        plus(this.#place(host, x0, y0), host.points[2]),
        plus(this.#place(host, x1, y1), host.points[3]),
      );
    } else if (points.length > 0) {
      rows.push(host.notAPoint);
    }
    const out = new Float32Array(rows.length * width);
    for (const [i, row] of rows.entries()) out.set(row, i * width);
    return out;
  }

  #point(host: HostWeights, { x, y, label }: EncodedPoint): Float32Array {
    if (label === -1) return host.notAPoint;
    if (label === -10) return new Float32Array(this.config.hidden_size);
    return plus(this.#place(host, x, y), host.points[label]);
  }

  /** Encoding of the centre of the pixel at (x, y). [C] */
  #place({ frequencies }: HostWeights, x: number, y: number): Float32Array {
    const out = new Float32Array(this.config.hidden_size);
    encodePlace(frequencies, (x + 0.5) / this.imageSize, (y + 0.5) / this.imageSize, out, 0);
    return out;
  }
}

async function readHost(
  root: Weights,
  names: readonly string[],
  shape: readonly number[],
): Promise<HostWeights> {
  const width = 2 * (shape[1] as number);
  const prompt = root.at("prompt_encoder");
  // all are asked for before the first is awaited, so that they count as taken at once
  const reads = {
    frequencies: names.map((name) => root.takeHost(name, shape)),
    points: [0, 1, 2, 3].map((i) => prompt.takeHost(`point_embed.${i}.weight`, [1, width])),
    notAPoint: prompt.takeHost("not_a_point_embed.weight", [1, width]),
  };
  const [all, points, notAPoint] = await Promise.all([
    Promise.all(reads.frequencies),
    Promise.all(reads.points),
    reads.notAPoint,
  ]);
  const [frequencies, twin] = all as [Float32Array, Float32Array | undefined];
  if (twin && !twin.every((v, i) => v === frequencies[i])) {
    throw new CheckpointError(`differs from ${JSON.stringify(names[0])}, with which it is shared`, {
      file: "the checkpoint",
      tensor: names[1],
    });
  }
  return { frequencies, points, notAPoint };
}

/** Random Fourier features (Tancik et al. 2020) of a place in the unit square: sin | cos of 2π (2p - 1) G, into `out`. */
function encodePlace(frequencies: Float32Array, x: number, y: number, out: Float32Array, at: number): void {
  const half = frequencies.length / 2;
  for (let f = 0; f < half; f++) {
    const [gx, gy] = [frequencies[f] as number, frequencies[half + f] as number];
    const angle = 2 * Math.PI * ((2 * x - 1) * gx + (2 * y - 1) * gy);
    out[at + f] = Math.sin(angle);
    out[at + half + f] = Math.cos(angle);
  }
}

/** Encodings of the centres of grid x grid cells, row by row. [g·g, C] */
function imagePositions(frequencies: Float32Array, grid: number): Float32Array {
  const out = new Float32Array(grid * grid * frequencies.length);
  for (let i = 0; i < grid * grid; i++) {
    const [x, y] = [((i % grid) + 0.5) / grid, (Math.floor(i / grid) + 0.5) / grid];
    encodePlace(frequencies, x, y, out, i * frequencies.length);
  }
  return out;
}

function plus(a: Float32Array, b: Float32Array | undefined): Float32Array {
  return a.map((v, i) => v + (b?.[i] ?? 0));
}
