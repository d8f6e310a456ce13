import { describe, expect, it } from "vitest";
import { ConfigError, parseConfig } from "../checkpoint/index.ts";
import { samConfigSchema, samGrid, samMaskSide } from "./config.ts";

const parse = (changes: object) =>
  parseConfig(samConfigSchema, { model_type: "sam", ...changes }, "config.json");

describe("configuration", () => {
  it("takes transformers' defaults: sam-vit-base", () => {
    const { vision_config: vision, prompt_encoder_config: prompt, mask_decoder_config: decoder } = parse({});
    expect(vision).toMatchObject({ hidden_size: 768, mlp_dim: 3072, window_size: 14, hidden_act: "gelu" });
    expect(vision.global_attn_indexes).toEqual([2, 5, 8, 11]);
    expect(samGrid(vision)).toBe(64);
    expect(samMaskSide(64)).toBe(256);
    expect(prompt).toMatchObject({ hidden_size: 256, mask_input_channels: 16 });
    expect(decoder).toMatchObject({ mlp_dim: 2048, hidden_act: "relu", num_multimask_outputs: 3 });
  });

  it("reads the hub's older files: fields that came and went, a null width", () => {
    const vision_config = {
      model_type: "",
      hidden_size: 1280,
      num_attention_heads: 16,
      num_hidden_layers: 32,
      global_attn_indexes: [7, 15, 23, 31],
      intermediate_size: 6144,
      projection_dim: 512,
      mlp_dim: null,
    };
    const prompt_encoder_config = { image_embedding_size: 64, model_type: "" };
    const { vision_config: vision } = parse({ vision_config, prompt_encoder_config });
    expect(vision).toMatchObject({ mlp_dim: 5120, num_hidden_layers: 32 });
  });

  const vision = (changes: object) => ({ vision_config: changes });
  const prompt = (changes: object) => ({ prompt_encoder_config: changes });
  const decoder = (changes: object) => ({ mask_decoder_config: changes });
  it.each([
    [{ model_type: "sam2" }, "model_type"],
    [vision({ num_attention_heads: 7 }), "vision_config.num_attention_heads"],
    [vision({ patch_size: 2048 }), "vision_config.patch_size"],
    [vision({ image_size: [1024, 1024] }), "vision_config.image_size"],
    [vision({ hidden_act: "mish" }), "vision_config.hidden_act"],
    [vision({ window_size: -1 }), "vision_config.window_size"],
    [vision({ global_attn_indexes: [1.5] }), "vision_config.global_attn_indexes[0]"],
    [vision({ num_channels: 4 }), "vision_config.num_channels"],
    [vision({ layer_norm_eps: 0 }), "vision_config.layer_norm_eps"],
    [vision({ image_size: 512 }), "prompt_encoder_config.image_size"],
    [vision({ output_channels: 128 }), "prompt_encoder_config.hidden_size"],
    [vision({ num_pos_feats: 64 }), "prompt_encoder_config.hidden_size"],
    [prompt({ patch_size: 8 }), "prompt_encoder_config.patch_size"],
    [prompt({ image_embedding_size: 32 }), "prompt_encoder_config.image_embedding_size"],
    [prompt({ mask_input_channels: 6 }), "prompt_encoder_config.mask_input_channels"],
    [prompt({ num_point_embeddings: 5 }), "prompt_encoder_config.num_point_embeddings"],
    [decoder({ hidden_size: 128 }), "mask_decoder_config.hidden_size"],
    [decoder({ num_attention_heads: 5 }), "mask_decoder_config.attention_downsample_rate"],
    [decoder({ iou_head_depth: 1 }), "mask_decoder_config.iou_head_depth"],
    [decoder({ num_multimask_outputs: 0 }), "mask_decoder_config.num_multimask_outputs"],
  ])("refuses %j", (changes, field) => {
    let error: unknown;
    try {
      parse(changes);
    } catch (reason) {
      error = reason;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ file: "config.json", field });
  });
});
