import { ClipVisionTower, Linear, MaskInversion, RandomWeights } from "@mask-llava/models";
import type { Size } from "../common/sizes.ts";
import { clipConfig } from "../networks/clip.ts";
import { waves } from "../networks/network.ts";
import { checkValues, type WorkloadKind } from "./workload.ts";

/** Masks of a picture, and steps of the optimisation. */
const amounts = {
  tiny: { masks: 2, steps: 2 },
  small: { masks: 6, steps: 5 },
  real: { masks: 30, steps: 10 },
} as const satisfies Record<Size, object>;

/** MaskInversion of all masks of one picture, with the tower's run on the picture. */
export const maskInversion: WorkloadKind = {
  name: "MaskInversion",
  shape(size) {
    const { masks, steps } = amounts[size];
    const { num_hidden_layers: layers, hidden_size: width } = clipConfig(size);
    return `${masks} masks, ${steps} steps, ${layers} layers of ${width}`;
  },
  async open(device, { size, dtype }) {
    const begun = performance.now();
    const config = clipConfig(size);
    const weights = new RandomWeights(device, { dtype });
    const vision = new ClipVisionTower(weights.weights.at("vision_model"), config);
    const { hidden_size: d, projection_dim: joint, image_size: side } = config;
    const visualProjection = Linear.load(weights.weights.at("visual_projection"), d, joint, { bias: false });
    await weights.load();
    const { masks: count, steps } = amounts[size];
    const pixels = { shape: [1, 3, side, side], data: waves(3 * side * side) };
    const masks = Array.from({ length: count }, (_, i) => disc(side, i));
    const inversion = new MaskInversion({ device, vision, visualProjection });
    const invert = () => inversion.invert({ pixels, masks }, { iterations: steps, maps: false });
    const n = vision.grid.rows * vision.grid.columns + 1;
    const f = config.intermediate_size;
    return {
      weightBytes: weights.bytes,
      build: performance.now() - begun,
      // of the optimisation, by the closed form: a vjp and a jvp through one block for each mask and step
      flops: count * steps * 2 * (2 * n * d * f + 2 * n * d * d + 2 * n * n * d),
      dispatches: undefined,
      programBytes: undefined,
      submit: undefined,
      async run() {
        await invert();
      },
      async check() {
        const { embeddings, diceLosses } = await invert();
        checkValues("MaskInversion's embeddings", embeddings.data);
        checkValues("MaskInversion's losses", diceLosses);
      },
      [Symbol.dispose]() {
        inversion.dispose();
        weights.dispose();
      },
    };
  },
};

function disc(side: number, index: number) {
  const [x0, y0, radius] = [(index * 97) % side, (index * 61) % side, side / 5.6];
  const data = Float32Array.from({ length: side * side }, (_, i) =>
    Math.hypot((i % side) - x0, Math.floor(i / side) - y0) < radius ? 1 : 0,
  );
  return { height: side, width: side, data };
}
