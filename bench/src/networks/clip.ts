import { ClipVisionTower, clipVisionConfigSchema, RandomWeights } from "@mask-llava/models";
import type { Size } from "../common/sizes.ts";
import { type NetworkKind, waves } from "./network.ts";

/** ViT-L/14-336, LLaVA-1.5's vision tower, and smaller ones with its heads and its number of patches. */
const shapes = {
  tiny: { hidden: 64, layers: 2, image: 112 },
  small: { hidden: 256, layers: 4, image: 336 },
  real: { hidden: 1024, layers: 24, image: 336 },
} as const satisfies Record<Size, object>;

export function clipConfig(size: Size) {
  const { hidden, layers, image } = shapes[size];
  return clipVisionConfigSchema.parse({
    hidden_size: hidden,
    intermediate_size: 4 * hidden,
    num_hidden_layers: layers,
    num_attention_heads: hidden / 64,
    image_size: image,
    patch_size: 14,
    projection_dim: (3 * hidden) / 4,
  });
}

/** CLIP's vision transformer on one picture. */
export const clipTower: NetworkKind = {
  name: "CLIP vision",
  shape(size) {
    const { hidden, layers, image } = shapes[size];
    return `${layers} layers of ${hidden}, ${(image / 14) ** 2 + 1} tokens`;
  },
  async open(device, { size, dtype }) {
    const config = clipConfig(size);
    const weights = new RandomWeights(device, { dtype });
    const tower = new ClipVisionTower(weights.weights, config);
    await weights.load();
    const shape = [1, 3, config.image_size, config.image_size];
    const pixels = device.tensor(
      { shape, dtype: "f32", label: "pixel_values" },
      waves(3 * config.image_size ** 2),
    );
    return {
      weightBytes: weights.bytes,
      inputs: [pixels],
      record: (cmd) => [tower.forward(cmd, pixels).lastHiddenState], // [1, 1+N, D]
      [Symbol.dispose]() {
        pixels.dispose();
        weights.dispose();
      },
    };
  },
};
