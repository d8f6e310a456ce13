"""CLIP fixtures: both activations, both config generations, text of several lengths, resampled positions."""

import numpy as np
import torch
from common import (
    draw,
    fresh_directory,
    margins,
    randomize,
    report,
    save_json,
    save_tensors,
    save_weights,
    update_json,
)
from PIL import Image
from tiny_tokenizers import cases, clip_tokenizer, clip_words
from tokenizers import AddedToken
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

GAINS = {"q_proj.weight": 2.2, "k_proj.weight": 2.2, "class_embedding": 0.8, "logit_scale": 0.0, "patch_embedding": 1.3}
LABELS = ["a photo of a cat", "a drawing of a house with a red roof", "Größe: 3 small circles!", ""]

FIXTURES = {
    # As the hub's openai/clip-*: ints for sizes, `position_ids` stored, eos_token_id 2 (pool at the largest id).
    "clip-quick-gelu": dict(
        seed=11,
        older=True,
        projection=22,
        vision=dict(hidden_size=30, intermediate_size=50, num_hidden_layers=3, num_attention_heads=5, image_size=40, patch_size=8, hidden_act="quick_gelu"),
        text=dict(hidden_size=28, intermediate_size=60, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=19, hidden_act="quick_gelu"),
        picture=("picture.png", (61, 47)),
        second=("tall.jpg", (33, 90)),
        interpolated={"larger": (56, 72), "smaller": (32, 24)},
        logit_scale=2.0,
    ),
    # As transformers saves today; an added token above eos, so pooling must look for eos_token_id itself.
    "clip-gelu": dict(
        seed=12,
        dtype="float16",
        older=False,
        projection=27,
        vision=dict(hidden_size=44, intermediate_size=58, num_hidden_layers=3, num_attention_heads=4, image_size=45, patch_size=7, hidden_act="gelu", layer_norm_eps=1e-6),
        text=dict(hidden_size=26, intermediate_size=45, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=24, hidden_act="gelu"),
        picture=("picture.jpg", (80, 52)),
        second=("small.png", (21, 30)),
        interpolated={"larger": (49, 70), "smaller": (28, 42)},
        logit_scale=2.3,
    ),
}


def make(name):
    spec = FIXTURES[name]
    directory = fresh_directory(name)
    tokenizer = write_tokenizer(directory, spec)
    write_model(directory, spec, tokenizer)
    write_processor(directory, spec)
    expect(directory, spec)
    report(directory)


def write_tokenizer(directory, spec):
    tokenizer = clip_tokenizer()
    if not spec["older"]:
        tokenizer.add_special_tokens([AddedToken("<|object|>", normalized=False, special=True)])
    tokenizer.save(str(directory / "tokenizer.json"))
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>", pad_token="<|endoftext|>")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": spec["text"]["max_position_embeddings"],
        **special,
    }
    if spec["older"]:
        config |= {"do_lower_case": True, "add_prefix_space": False, "errors": "replace"}
    save_json(directory / "tokenizer_config.json", config)
    save_json(directory / "special_tokens_map.json", special)
    return tokenizer


def write_model(directory, spec, tokenizer):
    start, end = (tokenizer.token_to_id(token) for token in ("<|startoftext|>", "<|endoftext|>"))
    ids = dict(bos_token_id=0, eos_token_id=2, pad_token_id=1) if spec["older"] else dict(bos_token_id=start, eos_token_id=end, pad_token_id=end)
    config = CLIPConfig(
        text_config=dict(spec["text"], vocab_size=tokenizer.get_vocab_size(), projection_dim=spec["projection"], **ids),
        vision_config=dict(spec["vision"], projection_dim=spec["projection"]),
        projection_dim=spec["projection"],
        logit_scale_init_value=spec["logit_scale"],
    )
    model = randomize(CLIPModel(config), spec["seed"], GAINS)
    with torch.no_grad():
        model.logit_scale.fill_(spec["logit_scale"])
    config.architectures = ["CLIPModel"]
    config.save_pretrained(directory)
    state = model.state_dict()
    if spec["older"]:
        state["vision_model.embeddings.position_ids"] = model.vision_model.embeddings.position_ids
        state["text_model.embeddings.position_ids"] = model.text_model.embeddings.position_ids
        update_json(directory / "config.json", text_config_dict=None, vision_config_dict=None, torch_dtype="float32", dtype=..., transformers_version="4.16.0.dev0")
    else:
        state = {name: tensor.to(getattr(torch, spec["dtype"])) for name, tensor in state.items()}
        update_json(directory / "config.json", dtype=spec["dtype"])
    save_weights(directory / "model.safetensors", state)


def write_processor(directory, spec):
    size = spec["vision"]["image_size"]
    normal = dict(image_mean=[0.48145466, 0.4578275, 0.40821073], image_std=[0.26862954, 0.26130258, 0.27577711])
    flags = dict(do_resize=True, do_center_crop=True, do_normalize=True, resample=3)
    if spec["older"]:
        config = dict(flags, size=size, crop_size=size, feature_extractor_type="CLIPFeatureExtractor", **normal)
    else:
        config = dict(
            flags,
            size={"shortest_edge": size},
            crop_size={"height": size, "width": size},
            do_rescale=True,
            rescale_factor=1 / 255,
            do_convert_rgb=True,
            image_processor_type="CLIPImageProcessor",
            **normal,
        )
    save_json(directory / "preprocessor_config.json", config)


def expect(directory, spec):
    model = CLIPModel.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    processor = CLIPImageProcessorPil.from_pretrained(directory)
    # Not AutoTokenizer: CLIPTokenizer of transformers 5.12 does not construct with every version of tokenizers.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory)
    pictures = []
    for index, (file, size) in enumerate((spec["picture"], spec["second"])):
        draw(*size, seed=spec["seed"] * 10 + index).save(directory / file, **({"quality": 88} if file.endswith("jpg") else {}))
        pictures.append(Image.open(directory / file))
    tensors = {"pixel_values": processor(pictures[0], return_tensors="pt")["pixel_values"]}
    tensors["second.pixel_values"] = processor(pictures[1], return_tensors="pt")["pixel_values"]
    text = tokenizer(LABELS, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        vision = model.vision_model(pixel_values=tensors["pixel_values"], output_hidden_states=True)
        words = model.text_model(input_ids=text["input_ids"], attention_mask=text["attention_mask"], output_hidden_states=True)
        joint = model(pixel_values=tensors["pixel_values"], **text)
        second = model(pixel_values=tensors["second.pixel_values"], **text)
    tensors |= {f"vision.hidden_states.{i}": state for i, state in enumerate(vision.hidden_states)}
    add_vision_ends(tensors, "", vision, joint)
    tensors |= {"input_ids": text["input_ids"], "attention_mask": text["attention_mask"]}
    tensors |= {f"text.hidden_states.{i}": state for i, state in enumerate(words.hidden_states)}
    tensors |= {"text.last_hidden_state": words.last_hidden_state, "text.pooler_output": words.pooler_output}
    tensors |= {"text_embeds": joint.text_embeds, "logits_per_image": joint.logits_per_image, "probs": joint.logits_per_image.softmax(-1)}
    tensors |= {"second.image_embeds": second.image_embeds, "second.probs": second.logits_per_image.softmax(-1)}
    for case, (height, width) in spec["interpolated"].items():
        resized = processor(pictures[0], size={"height": height, "width": width}, do_center_crop=False, return_tensors="pt")
        with torch.no_grad():
            vision = model.vision_model(pixel_values=resized["pixel_values"], interpolate_pos_encoding=True, output_hidden_states=True)
            joint = model(pixel_values=resized["pixel_values"], interpolate_pos_encoding=True, **text)
        tensors[f"{case}.pixel_values"] = resized["pixel_values"]
        tensors[f"{case}.vision.hidden_states.0"] = vision.hidden_states[0]
        add_vision_ends(tensors, f"{case}.", vision, joint)
    save_tensors(directory / "expect.safetensors", tensors)
    assert margins(tensors["probs"]).min() > 0.05
    save_json(
        directory / "expect.json",
        {
            "picture": spec["picture"][0],
            "second_picture": spec["second"][0],
            "texts": LABELS,
            "interpolated": {case: {"height": h, "width": w} for case, (h, w) in spec["interpolated"].items()},
            **({"tokenizer": cases(directory, np.random.default_rng(spec["seed"]), clip_words)} if spec["older"] else {}),
            "truncated": [
                {"text": text, "ids": tokenizer(text, truncation=True)["input_ids"]}
                for text in ("a photo of a cat " * 9, "one two <|object|> four five six seven eight nine ten")
            ],
        },
    )
    print("   probs", tensors["probs"].tolist())


def add_vision_ends(tensors, prefix, vision, joint):
    tensors[f"{prefix}last_hidden_state"] = vision.last_hidden_state
    tensors[f"{prefix}pooler_output"] = vision.pooler_output
    tensors[f"{prefix}image_embeds"] = joint.image_embeds
