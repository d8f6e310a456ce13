import { ClipVisionTower, clipVisionConfigSchema, RandomWeights } from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { type Measured, measureProgram } from "./measure.ts";

/** CLIP ViT-L/14-336, LLaVA-1.5's vision tower, one picture, random weights. */
export async function clipLarge336(device: Device): Promise<Measured> {
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
  const tower = new ClipVisionTower(weights.weights, config);
  await weights.load();
  using pixels = device.tensor(
    { shape: [1, 3, 336, 336], dtype: "f32", label: "pixel_values" },
    Float32Array.from({ length: 3 * 336 * 336 }, (_, i) => Math.sin(i * 0.37)),
  );
  const cmd = device.record("clip l/14-336");
  const { lastHiddenState } = tower.forward(cmd, pixels); // [1, 577, 1024]
  return await measureProgram(cmd, [lastHiddenState], weights.bytes);
}
