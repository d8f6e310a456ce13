import {
  DeformableDetrNetwork,
  DetrInputs,
  deformableDetrConfigSchema,
  RandomWeights,
} from "@mask-llava/models";
import type { Size } from "../common/sizes.ts";
import { type NetworkKind, waves } from "./network.ts";

/** SenseTime/deformable-detr: ResNet-50, six layers each way, four levels; smaller ones have the same parts. */
const shapes = {
  tiny: { height: 64, width: 96, layers: 1, queries: 20, d: 64, blocks: [1, 1, 1, 1], hidden: 32 },
  small: { height: 200, width: 334, layers: 2, queries: 100, d: 128, blocks: [1, 1, 2, 1], hidden: 128 },
  real: { height: 800, width: 1333, layers: 6, queries: 300, d: 256, blocks: [3, 4, 6, 3], hidden: 256 },
} as const satisfies Record<Size, object>;

/** Deformable DETR on one picture. */
export const deformableDetr: NetworkKind = {
  name: "Deformable DETR",
  shape(size) {
    const { height, width, layers, queries, d } = shapes[size];
    return `${height}x${width}, ${layers} + ${layers} layers of ${d}, ${queries} queries`;
  },
  async open(device, { size, dtype }) {
    const { height, width, layers, queries, d, blocks, hidden } = shapes[size];
    const config = deformableDetrConfigSchema.parse({
      model_type: "deformable_detr",
      use_timm_backbone: false,
      backbone_config: {
        model_type: "resnet",
        out_features: ["stage2", "stage3", "stage4"],
        depths: blocks,
        hidden_sizes: [1, 2, 4, 8].map((n) => n * hidden),
        embedding_size: Math.min(64, hidden),
      },
      d_model: d,
      encoder_layers: layers,
      decoder_layers: layers,
      encoder_ffn_dim: 4 * d,
      decoder_ffn_dim: 4 * d,
      num_queries: queries,
      num_labels: 91,
    });
    const weights = new RandomWeights(device, { dtype });
    const network = new DeformableDetrNetwork(weights.weights, config, { dtype, file: "random weights" });
    await weights.load();
    const levels = network.levelSizes(height, width);
    const inputs = new DetrInputs(device, config, { batch: 1, height, width, levels, padded: false });
    inputs.write(waves(3 * height * width), new Uint8Array(height * width).fill(1));
    return {
      weightBytes: weights.bytes,
      inputs: [inputs.pixels],
      record(cmd) {
        const { logits, predBoxes } = network.forward(cmd, inputs);
        return [logits, predBoxes]; // [1, Q, 91], [1, Q, 4]
      },
      [Symbol.dispose]() {
        inputs.dispose();
        weights.dispose();
      },
    };
  },
};
