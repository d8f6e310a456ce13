import type { Weights } from "../checkpoint/index.ts";
import { type SamConfig, samGrid, samMaskSide } from "./config.ts";
import { SamMaskDecoder } from "./mask-decoder.ts";
import { SamPromptEncoder } from "./prompt-encoder.ts";
import { SamVisionEncoder } from "./vision.ts";

/** Segment Anything (Kirillov et al. 2023), as transformers' `SamModel` stores it. */
export class SamNetwork {
  readonly config: SamConfig;
  /** Pixels a side of the input. */
  readonly imageSize: number;
  /** Patches a side. */
  readonly grid: number;
  /** Pixels a side of a low-resolution mask. */
  readonly maskSide: number;
  readonly vision: SamVisionEncoder;
  readonly prompts: SamPromptEncoder;
  readonly decoder: SamMaskDecoder;

  /** @param imageSize pixels a side that the network runs at; the trained size unless given */
  constructor(w: Weights, config: SamConfig, imageSize = config.vision_config.image_size) {
    this.config = config;
    this.imageSize = imageSize;
    this.grid = samGrid(config.vision_config, imageSize);
    this.maskSide = samMaskSide(this.grid);
    this.vision = new SamVisionEncoder(w.at("vision_encoder"), config.vision_config, this.grid);
    this.prompts = new SamPromptEncoder(w, config, imageSize, this.grid);
    this.decoder = new SamMaskDecoder(w.at("mask_decoder"), config.mask_decoder_config);
  }

  /** Waits for the small tables that the host keeps; a CheckpointError where they are not as they should be. */
  async ready(): Promise<void> {
    await this.prompts.ready();
    await this.decoder.outputTokens;
  }
}
