import {
  ClipVisionTower,
  clipVisionConfigSchema,
  Linear,
  MaskInversion,
  RandomWeights,
} from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";

export interface InversionTimes {
  readonly masks: number;
  readonly steps: number;
  /** Wall milliseconds, with recording and compiling. */
  readonly first: number;
  readonly run: number;
  /** 2·(2NDF + 2ND² + 2N²D) a mask and step. */
  readonly flops: number;
  /** GPU bytes: the weights, and the peak of everything. */
  readonly weights: number;
  readonly peak: number;
}

/** MaskInversion of `count` masks on CLIP ViT-L/14-336 with random weights, ten steps. */
export async function maskInversionLarge336(device: Device, count = 30, steps = 10): Promise<InversionTimes> {
  const config = clipVisionConfigSchema.parse({
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    image_size: 336,
    patch_size: 14,
    projection_dim: 768,
  });
  using weights = new RandomWeights(device, { dtype: "f16" });
  const vision = new ClipVisionTower(weights.weights.at("vision_model"), config);
  const visualProjection = Linear.load(weights.weights.at("visual_projection"), 1024, 768, { bias: false });
  await weights.load();
  const side = 336;
  const pixels = {
    shape: [1, 3, side, side],
    data: Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i * 0.37)),
  };
  const masks = Array.from({ length: count }, (_, m) => ({
    height: side,
    width: side,
    data: Float32Array.from({ length: side * side }, (__, i) => {
      const [x, y] = [i % side, Math.floor(i / side)];
      return Math.hypot(x - ((m * 97) % side), y - ((m * 61) % side)) < 60 ? 1 : 0;
    }),
  }));
  using inversion = new MaskInversion({ device, vision, visualProjection });
  const time = async () => {
    const started = performance.now();
    const { embeddings, diceLosses } = await inversion.invert(
      { pixels, masks },
      { iterations: steps, maps: false },
    );
    if (![...embeddings.data, ...diceLosses].every(Number.isFinite))
      throw new Error("an embedding is not finite");
    return performance.now() - started;
  };
  const first = await time();
  const run = await time();
  const [n, d, f] = [577, 1024, 4096];
  const flops = count * steps * 2 * (2 * n * d * f + 2 * n * d * d + 2 * n * n * d);
  return { masks: count, steps, first, run, flops, weights: weights.bytes, peak: device.memory().peak };
}
