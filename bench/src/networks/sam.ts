import { RandomWeights, SamNetwork, samConfigSchema } from "@mask-llava/models";
import type { Size } from "../common/sizes.ts";
import { type NetworkKind, waves } from "./network.ts";

/** SAM-B's encoder at 1024 pixels, and smaller ones with its windows: 14 places a side, one layer in `layers` global. */
const shapes = {
  tiny: { hidden: 64, layers: 2, image: 256, outputs: 32 },
  small: { hidden: 192, layers: 3, image: 512, outputs: 64 },
  real: { hidden: 768, layers: 12, image: 1024, outputs: 256 },
} as const satisfies Record<Size, object>;

export function samConfig(size: Size) {
  const { hidden, layers, image, outputs } = shapes[size];
  const every = Math.min(3, layers);
  return samConfigSchema.parse({
    model_type: "sam",
    vision_config: {
      hidden_size: hidden,
      num_hidden_layers: layers,
      num_attention_heads: hidden / 64,
      image_size: image,
      output_channels: outputs,
      num_pos_feats: outputs / 2,
      global_attn_indexes: [...Array(layers).keys()].filter((i) => i % every === every - 1),
    },
    prompt_encoder_config: { hidden_size: outputs, image_size: image },
    mask_decoder_config: { hidden_size: outputs, mlp_dim: 8 * outputs, iou_head_hidden_dim: outputs },
  });
}

/** SAM's image encoder on one picture. */
export const samEncoder: NetworkKind = {
  name: "SAM encoder",
  shape(size) {
    const { hidden, layers, image } = shapes[size];
    return `${layers} layers of ${hidden}, ${(image / 16) ** 2} tokens`;
  },
  async open(device, { size, dtype }) {
    const weights = new RandomWeights(device, { dtype });
    const network = new SamNetwork(weights.weights, samConfig(size));
    await network.ready();
    await weights.load();
    const { imageSize: side } = network;
    const spec = { shape: [1, 3, side, side], dtype: "f32", label: "pixel_values" } as const;
    const pixels = device.tensor(spec, waves(3 * side * side));
    return {
      weightBytes: weights.bytes,
      inputs: [pixels],
      record: (cmd) => [network.vision.forward(cmd, pixels).imageEmbeddings], // [1, C, g, g]
      [Symbol.dispose]() {
        pixels.dispose();
        weights.dispose();
      },
    };
  },
};

/** Prompts that are decoded together. */
const boxes = 8;

/** SAM's mask decoder on an embedded picture: three masks for each of eight boxes. */
export const samDecoder: NetworkKind = {
  name: "SAM decoder",
  shape(size) {
    const { image, outputs } = shapes[size];
    return `${boxes} boxes, ${(image / 16) ** 2} places of ${outputs}`;
  },
  async open(device, { size, dtype }) {
    const weights = new RandomWeights(device, { dtype });
    const { imageSize: side, grid, prompts, decoder } = new SamNetwork(weights.weights, samConfig(size));
    const outputTokens = await decoder.outputTokens;
    const rows: number[] = [];
    for (let i = 0; i < boxes; i++) {
      const [x, y] = [(i * 131) % (side / 2), (i * 89) % (side / 2)];
      const own = await prompts.tokens({ points: [], box: [x, y, x + side / 3, y + side / 4] });
      rows.push(...outputTokens, ...own);
    }
    await weights.load();
    const width = decoder.config.hidden_size;
    const tokens = device.tensor(
      { shape: [boxes, rows.length / boxes / width, width], dtype: "f32", label: "prompts" },
      Float32Array.from(rows),
    ); // [P, T, C]
    const image = device.tensor(
      { shape: [1, width, grid, grid], dtype: "f32", label: "image embedding" },
      waves(width * grid * grid),
    ); // [1, C, g, g]
    return {
      weightBytes: weights.bytes,
      inputs: [tokens, image],
      record(cmd) {
        const { noMask: dense, imagePositions: positions } = prompts;
        const { predMasks, iouScores } = decoder.forward(cmd, { image, tokens, dense, positions }, true);
        return [predMasks, iouScores]; // [P, 3, 4g, 4g], [P, 3]
      },
      [Symbol.dispose]() {
        for (const t of [tokens, image]) t.dispose();
        weights.dispose();
      },
    };
  },
};
