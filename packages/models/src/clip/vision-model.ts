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
import { llavaConfigSchema } from "../llava/config.ts";
import { llavaNames } from "../llava/names.ts";
import { Linear } from "../nn/index.ts";
import { clipConfigSchema, clipVisionConfigSchema } from "./config.ts";
import { clipIgnored, clipVisionNames } from "./names.ts";
import { ClipVisionTower } from "./vision.ts";

/** Where a folder has its vision tower: a whole CLIP model, the tower alone, or a part of a LLaVA checkpoint. */
async function readLayout(folder: Folder) {
  const json = await requireJson(folder, "config.json");
  const kind = (json as { model_type?: unknown } | null)?.model_type;
  if (kind === "llava") {
    const config = parseConfig(llavaConfigSchema, json, "config.json").vision_config;
    const ignore = [/^language_model\./, /^multi_modal_projector\./];
    return {
      config,
      joint: 0,
      prefix: "vision_tower.vision_model",
      rename: llavaNames,
      ignore,
      family: "llava" as const,
    };
  }
  const names = { prefix: "vision_model", rename: clipVisionNames, family: "clip" as const };
  if (kind === "clip") {
    const { vision_config: config, projection_dim: joint } = parseConfig(
      clipConfigSchema,
      json,
      "config.json",
    );
    return { ...names, config, joint, ignore: [/^text_model\./, /^text_projection\./, /^logit_scale$/] };
  }
  const config = parseConfig(clipVisionConfigSchema, json, "config.json");
  return { ...names, config, joint: config.projection_dim, ignore: [] };
}

/**
 * CLIP's vision tower with its projection (where the checkpoint has one) and its processor, from a whole CLIP folder, from
 * one of the vision tower alone (`clip_vision_model`), or from a LLaVA checkpoint. Owns its weights.
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
    const { config, joint, prefix, rename, ignore, family } = await readLayout(folder);
    const processor = await loadImageProcessor(folder, family);
    const checkpoint = await Checkpoint.open(device, folder, {
      ...options,
      rename,
      ignore: [...clipIgnored, ...ignore],
    });
    try {
      const { weights } = checkpoint;
      const vision = new ClipVisionTower(weights.at(prefix), config);
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
