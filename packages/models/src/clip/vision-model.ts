import type { Device } from "@mask-llava/runtime";
import {
  Checkpoint,
  type CheckpointOptions,
  type Folder,
  parseConfig,
  requireJson,
  type UploadOptions,
} from "../checkpoint/index.ts";
import { type ImageProcessor, loadImageProcessor } from "../images/index.ts";
import { Linear } from "../nn/index.ts";
import { clipConfigSchema, clipVisionConfigSchema } from "./config.ts";
import { clipIgnored, clipVisionNames } from "./names.ts";
import { ClipVisionTower } from "./vision.ts";

const textParts = [/^text_model\./, /^text_projection\./, /^logit_scale$/];

/**
 * CLIP's vision tower with its projection (where the checkpoint has one) and its processor, from a whole CLIP folder or from
 * one of the vision tower alone (`clip_vision_model`). Owns its weights.
 */
export class ClipVisionModel implements Disposable {
  readonly device: Device;
  readonly vision: ClipVisionTower;
  /** To the joint space. */
  readonly visualProjection: Linear | undefined;
  readonly processor: ImageProcessor;
  readonly #checkpoint: Checkpoint;

  private constructor(
    checkpoint: Checkpoint,
    vision: ClipVisionTower,
    projection: Linear | undefined,
    processor: ImageProcessor,
  ) {
    this.device = checkpoint.device;
    this.vision = vision;
    this.visualProjection = projection;
    this.processor = processor;
    this.#checkpoint = checkpoint;
  }

  static async load(
    device: Device,
    folder: Folder,
    options: CheckpointOptions & UploadOptions = {},
  ): Promise<ClipVisionModel> {
    const json = await requireJson(folder, "config.json");
    const whole = (json as { model_type?: unknown } | null)?.model_type === "clip";
    const config = whole
      ? parseConfig(clipConfigSchema, json, "config.json").vision_config
      : parseConfig(clipVisionConfigSchema, json, "config.json");
    const joint = whole
      ? parseConfig(clipConfigSchema, json, "config.json").projection_dim
      : config.projection_dim;
    const processor = await loadImageProcessor(folder, "clip");
    const ignore = [...clipIgnored, ...textParts];
    const checkpoint = await Checkpoint.open(device, folder, { ...options, rename: clipVisionNames, ignore });
    try {
      const { weights } = checkpoint;
      const vision = new ClipVisionTower(weights.at("vision_model"), config);
      const projection = weights.has("visual_projection.weight")
        ? Linear.load(weights.at("visual_projection"), config.hidden_size, joint, { bias: false })
        : undefined;
      const model = new ClipVisionModel(checkpoint, vision, projection, processor);
      await checkpoint.load(options);
      return model;
    } catch (error) {
      checkpoint.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.#checkpoint.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
