import {
  DeformableDetrNetwork,
  DetrInputs,
  deformableDetrConfigSchema,
  RandomWeights,
} from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { type Measured, measureProgram } from "./measure.ts";

/** SenseTime/deformable-detr's shape: ResNet-50, four levels, 300 queries; a picture of 800x1333, random weights. */
export async function deformableDetrR50(device: Device): Promise<Measured> {
  const config = deformableDetrConfigSchema.parse({
    model_type: "deformable_detr",
    use_timm_backbone: false,
    backbone_config: { model_type: "resnet", out_features: ["stage2", "stage3", "stage4"] },
    num_queries: 300,
    num_labels: 91,
  });
  using weights = new RandomWeights(device, { dtype: "f16" });
  const network = new DeformableDetrNetwork(weights.weights, config, {
    dtype: "f16",
    file: "random weights",
  });
  await weights.load();
  const [height, width] = [800, 1333];
  using inputs = new DetrInputs(device, config, {
    batch: 1,
    height,
    width,
    levels: network.levelSizes(height, width),
    padded: false,
  });
  inputs.write(
    Float32Array.from({ length: 3 * height * width }, (_, i) => Math.sin(i * 0.37)),
    new Uint8Array(height * width).fill(1),
  );
  const cmd = device.record("deformable detr r50");
  const { logits, predBoxes } = network.forward(cmd, inputs); // [1, 300, 91], [1, 300, 4]
  return await measureProgram(cmd, [logits, predBoxes], weights.bytes);
}
