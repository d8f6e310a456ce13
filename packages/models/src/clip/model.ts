import { type Device, exp, linear, mul, type Recorder, type Tensor } from "@mask-llava/runtime";
import {
  Checkpoint,
  type CheckpointOptions,
  type Folder,
  parseConfig,
  requireJson,
  type UploadOptions,
  type Weights,
} from "../checkpoint/index.ts";
import { Linear, l2Normalize } from "../nn/index.ts";
import { type ClipConfig, clipConfigSchema } from "./config.ts";
import { clipIgnored } from "./names.ts";
import { ClipTextTower } from "./text.ts";
import { ClipVisionTower } from "./vision.ts";

/** CLIP (Radford et al. 2021), as transformers' `CLIPModel` stores it. Owns its weights. */
export class Clip implements Disposable {
  readonly config: ClipConfig;
  readonly device: Device;
  readonly vision: ClipVisionTower;
  readonly text: ClipTextTower;
  readonly visualProjection: Linear;
  readonly textProjection: Linear;
  readonly #logitScale: Tensor;
  readonly #checkpoint: Checkpoint;

  private constructor(checkpoint: Checkpoint, w: Weights, config: ClipConfig) {
    const { projection_dim: joint } = config;
    this.config = config;
    this.device = checkpoint.device;
    this.#checkpoint = checkpoint;
    this.vision = new ClipVisionTower(w.at("vision_model"), config.vision_config);
    this.text = new ClipTextTower(w.at("text_model"), config.text_config);
    this.visualProjection = Linear.load(w.at("visual_projection"), config.vision_config.hidden_size, joint, {
      bias: false,
    });
    this.textProjection = Linear.load(w.at("text_projection"), config.text_config.hidden_size, joint, {
      bias: false,
    });
    this.#logitScale = w.take("logit_scale", [], { dtype: "f32" });
  }

  static async load(
    device: Device,
    folder: Folder,
    options: CheckpointOptions & UploadOptions = {},
  ): Promise<Clip> {
    const config = parseConfig(clipConfigSchema, await requireJson(folder, "config.json"), "config.json");
    const checkpoint = await Checkpoint.open(device, folder, { ...options, ignore: clipIgnored });
    try {
      const model = new Clip(checkpoint, checkpoint.weights, config);
      await checkpoint.load(options);
      return model;
    } catch (error) {
      checkpoint.dispose();
      throw error;
    }
  }

  /** Pooled class token -> joint space, not normalised. [B, D] -> [B, E] */
  projectImage(cmd: Recorder, pooled: Tensor): Tensor {
    return this.visualProjection.forward(cmd, pooled);
  }

  /** L2-normalised image embeddings. [B, D] pooled -> [B, E] */
  imageEmbeds(cmd: Recorder, pooled: Tensor): Tensor {
    return l2Normalize(cmd, this.projectImage(cmd, pooled));
  }

  /** L2-normalised text embeddings. [B, D] pooled -> [B, E] */
  textEmbeds(cmd: Recorder, pooled: Tensor): Tensor {
    return l2Normalize(cmd, this.textProjection.forward(cmd, pooled));
  }

  /** exp(logit_scale) · image · textᵀ. [I, E], [T, E] -> [I, T] */
  logits(cmd: Recorder, imageEmbeds: Tensor, textEmbeds: Tensor): Tensor {
    const scale = exp(cmd, this.#logitScale); // []
    return mul(cmd, linear(cmd, imageEmbeds, textEmbeds), scale);
  }

  dispose(): void {
    this.#checkpoint.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
