import { type Folder, type HostTensorData, MemoryFolder, writeSafetensors } from "@mask-llava/models";
import { Random, type Shape, sizeOf } from "@mask-llava/runtime";
import { type DemoTokenizer, demoTokenizer, specialIds } from "./tokenizer.ts";

/** Sizes of the random model: whole, but small enough that making and running it takes no time on any machine. */
const vision = { width: 48, inner: 96, layers: 3, heads: 4, picture: 56, patch: 14 } as const;
const language = { width: 64, inner: 128, layers: 2, heads: 4, context: 512 } as const;
const seed = 20230417;

/**
 * A LLaVA whose weights are random numbers, made in memory and the same every time. It takes pictures and questions as a
 * real one does and answers with words that mean nothing.
 */
export function randomLlava(): Folder {
  const tokenizer = demoTokenizer();
  const text = (value: string) => new TextEncoder().encode(value);
  const json = (value: object) => text(JSON.stringify(value));
  return new MemoryFolder(
    {
      "config.json": json(config(tokenizer.vocabularySize)),
      "generation_config.json": json({
        bos_token_id: specialIds.bos,
        eos_token_id: specialIds.eos,
        max_new_tokens: 24,
      }),
      "preprocessor_config.json": json({
        image_processor_type: "CLIPImageProcessor",
        do_resize: true,
        size: { shortest_edge: vision.picture },
        resample: 3,
        do_center_crop: true,
        crop_size: { height: vision.picture, width: vision.picture },
        do_rescale: true,
        rescale_factor: 1 / 255,
        do_normalize: true,
        image_mean: [0.5, 0.5, 0.5],
        image_std: [0.25, 0.25, 0.25],
        do_convert_rgb: true,
      }),
      "tokenizer.json": json(tokenizer.tokenizer),
      "tokenizer_config.json": json(tokenizer.config),
      "chat_template.jinja": text(chatTemplate),
      "model.safetensors": writeSafetensors(weights(tokenizer)),
    },
    "the random model",
  );
}

const chatTemplate =
  "{% for message in messages %}{{ message.role | upper }}: {% for part in message.content %}" +
  "{% if part.type == 'image' %}{{ '<image>\\n' }}{% else %}{{ part.text + ' ' }}{% endif %}{% endfor %}{% endfor %}" +
  "{% if add_generation_prompt %}ASSISTANT:{% endif %}";

function config(vocabularySize: number): object {
  return {
    architectures: ["LlavaForConditionalGeneration"],
    model_type: "llava",
    image_token_index: specialIds.image,
    vision_feature_layer: -2,
    vision_feature_select_strategy: "default",
    projector_hidden_act: "gelu",
    vision_config: {
      model_type: "clip_vision_model",
      hidden_size: vision.width,
      intermediate_size: vision.inner,
      num_hidden_layers: vision.layers,
      num_attention_heads: vision.heads,
      image_size: vision.picture,
      patch_size: vision.patch,
      projection_dim: vision.width,
      hidden_act: "quick_gelu",
    },
    text_config: {
      model_type: "llama",
      vocab_size: vocabularySize,
      hidden_size: language.width,
      intermediate_size: language.inner,
      num_hidden_layers: language.layers,
      num_attention_heads: language.heads,
      max_position_embeddings: language.context,
      bos_token_id: specialIds.bos,
      eos_token_id: specialIds.eos,
    },
  };
}

/** Standard deviation of the logits of words; those of other tokens are a tenth of it, so that answers are made of words. */
const logitScale = 3;

function weights({ vocabularySize, wordIds }: DemoTokenizer): Record<string, HostTensorData> {
  const random = new Random(seed);
  const tensors: Record<string, HostTensorData> = {};
  /** Uniform with this standard deviation and mean. */
  const put = (name: string, shape: Shape, deviation: number, mean = 0) => {
    const range = deviation * Math.sqrt(12);
    const data = Float32Array.from({ length: sizeOf(shape) }, () => mean + range * (random.uniform() - 0.5));
    tensors[name] = { shape, data };
    return data;
  };
  /** Keeps the variance of what it multiplies. */
  const linear = (name: string, outputs: number, inputs: number, options: { bias: boolean }) => {
    put(`${name}.weight`, [outputs, inputs], 1 / Math.sqrt(inputs));
    if (options.bias) put(`${name}.bias`, [outputs], 0.1);
  };
  const layerNorm = (name: string) => {
    put(`${name}.weight`, [vision.width], 0.1, 1);
    put(`${name}.bias`, [vision.width], 0.1);
  };

  const tower = "vision_tower.vision_model";
  const patches = (vision.picture / vision.patch) ** 2;
  put(`${tower}.embeddings.class_embedding`, [vision.width], 1);
  put(
    `${tower}.embeddings.patch_embedding.weight`,
    [vision.width, 3, vision.patch, vision.patch],
    1 / Math.sqrt(3 * vision.patch ** 2),
  );
  put(`${tower}.embeddings.position_embedding.weight`, [patches + 1, vision.width], 0.5);
  layerNorm(`${tower}.pre_layrnorm`);
  for (let i = 0; i < vision.layers; i++) {
    const layer = `${tower}.encoder.layers.${i}`;
    layerNorm(`${layer}.layer_norm1`);
    for (const part of ["q_proj", "k_proj", "v_proj", "out_proj"])
      linear(`${layer}.self_attn.${part}`, vision.width, vision.width, { bias: true });
    layerNorm(`${layer}.layer_norm2`);
    linear(`${layer}.mlp.fc1`, vision.inner, vision.width, { bias: true });
    linear(`${layer}.mlp.fc2`, vision.width, vision.inner, { bias: true });
  }
  layerNorm(`${tower}.post_layernorm`);
  linear("multi_modal_projector.linear_1", language.width, vision.width, { bias: true });
  linear("multi_modal_projector.linear_2", language.width, language.width, { bias: true });

  put("language_model.model.embed_tokens.weight", [vocabularySize, language.width], 1);
  for (let i = 0; i < language.layers; i++) {
    const layer = `language_model.model.layers.${i}`;
    put(`${layer}.input_layernorm.weight`, [language.width], 0.1, 1);
    for (const part of ["q_proj", "k_proj", "v_proj", "o_proj"])
      linear(`${layer}.self_attn.${part}`, language.width, language.width, { bias: false });
    put(`${layer}.post_attention_layernorm.weight`, [language.width], 0.1, 1);
    linear(`${layer}.mlp.gate_proj`, language.inner, language.width, { bias: false });
    linear(`${layer}.mlp.up_proj`, language.inner, language.width, { bias: false });
    linear(`${layer}.mlp.down_proj`, language.width, language.inner, { bias: false });
  }
  put("language_model.model.norm.weight", [language.width], 0.1, 1);
  const head = put(
    "language_model.lm_head.weight",
    [vocabularySize, language.width],
    logitScale / Math.sqrt(language.width),
  );
  for (let i = 0; i < head.length; i++) {
    if (!wordIds.has(Math.floor(i / language.width))) head[i] = (head[i] ?? 0) / 10;
  }
  return tensors;
}
