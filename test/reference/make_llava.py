"""LLaVA-1.5 fixtures: feature layers and strategies, four generations of tensor names, both ways to make a square."""

import copy

import chat_templates
import numpy as np
import torch
from common import (
    capture,
    draw,
    fresh_directory,
    load_json,
    randomize,
    report,
    save_json,
    save_sharded,
    save_tensors,
    save_weights,
    update_json,
)
from decoding import greedy, plant_eos
from make_llama import quiet_rows
from PIL import Image
from tiny_tokenizers import cases, llama2_tokenizer
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

GAINS = {
    "q_proj.weight": 1.8,
    "k_proj.weight": 1.8,
    "lm_head": 1.6,
    "embed_tokens": 0.9,
    "o_proj.weight": 1.2,
    "down_proj": 1.5,
    "class_embedding": 0.8,
    "patch_embedding": 1.3,
    "linear_1.weight": 1.2,
    "linear_2.weight": 1.2,
}
PROMPT = "USER: <image>\nWhat is in the picture? ASSISTANT:"
TWO = "USER: <image>\nThis is a circle. <image>\nWhich shows a dog? ASSISTANT:"
NEW = 16
SMALLEST_MARGIN = 0.01
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]

FIXTURES = {
    # Names as the modules of transformers 5 have them; center crop.
    "llava-default": dict(
        seed=31,
        names="modules",
        layer=-2,
        strategy="default",
        pad=None,
        legacy_tokenizer=False,
        dtype=torch.float32,
        vision=dict(hidden_size=30, intermediate_size=62, num_hidden_layers=4, num_attention_heads=3, image_size=35, patch_size=7, hidden_act="quick_gelu"),
        text=dict(hidden_size=30, intermediate_size=56, num_hidden_layers=3, num_attention_heads=5, num_key_value_heads=5),
    ),
    # As transformers 5 saves it (processor_config.json holds the image processor); padding by do_pad; a layer
    # counted from the start; no projector bias.
    "llava-full": dict(
        seed=32,
        names="saved",
        layer=2,
        strategy="full",
        pad="do_pad",
        legacy_tokenizer=False,
        dtype=torch.bfloat16,
        projector_bias=False,
        vision=dict(hidden_size=28, intermediate_size=50, num_hidden_layers=3, num_attention_heads=2, image_size=32, patch_size=8, hidden_act="gelu"),
        text=dict(hidden_size=32, intermediate_size=66, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, head_dim=10),
    ),
    # Several feature layers, side by side; names of transformers 4.52 to 4.57 modules.
    "llava-layers": dict(
        seed=33,
        names="modules-4",
        layer=[-3, -1],
        strategy="default",
        pad=None,
        legacy_tokenizer=False,
        dtype=torch.bfloat16,
        vision=dict(hidden_size=24, intermediate_size=50, num_hidden_layers=3, num_attention_heads=4, image_size=27, patch_size=9, hidden_act="quick_gelu"),
        text=dict(hidden_size=30, intermediate_size=52, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1),
    ),
    # The hub's llava-hf names, two shards of f16; image_aspect_ratio "pad" in config.json as liuhaotian/llava-* has.
    "llava-older": dict(
        seed=34,
        names="hub",
        layer=-2,
        strategy="default",
        pad="image_aspect_ratio",
        legacy_tokenizer=True,
        dtype=torch.float16,
        vision=dict(hidden_size=26, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2, image_size=33, patch_size=8, hidden_act="quick_gelu"),
        text=dict(hidden_size=34, intermediate_size=58, num_hidden_layers=2, num_attention_heads=1, num_key_value_heads=1),
    ),
}


def make(name):
    spec = FIXTURES[name]
    for attempt in range(200):
        directory = fresh_directory(name)
        pictures = draw_pictures(directory, spec["seed"])
        tokenizer = write_tokenizer(directory, spec)
        processor = write_processor(directory, spec, tokenizer)
        made = attempt_model(directory, spec, spec["seed"] + 100 * attempt, processor, pictures)
        if made is not None:
            break
    else:
        raise SystemExit(f"{name}: no seed gives clear greedy margins")
    expect(directory, spec, processor, pictures, *made)
    report(directory)


def draw_pictures(directory, seed):
    draw(53, 38, seed=seed * 10).save(directory / "wide.png")
    draw(36, 57, seed=seed * 10 + 1).save(directory / "tall.jpg", quality=90)
    return [Image.open(directory / "wide.png").convert("RGB"), Image.open(directory / "tall.jpg").convert("RGB")]


def write_tokenizer(directory, spec):
    llama2_tokenizer(legacy=spec["legacy_tokenizer"], extra=("<image>", "<pad>")).save(str(directory / "tokenizer.json"))
    added = load_json(directory / "tokenizer.json")["added_tokens"]
    special = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    config = {
        "added_tokens_decoder": {str(token.pop("id")): token for token in added},
        **special,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 256,
        "padding_side": "left",
        "processor_class": "LlavaProcessor",
        "tokenizer_class": "PreTrainedTokenizerFast" if spec["legacy_tokenizer"] else "LlamaTokenizerFast",
    }
    if not spec["legacy_tokenizer"]:
        config |= {"image_token": "<image>", "extra_special_tokens": {"image_token": "<image>"}, "legacy": False}
    save_json(directory / "tokenizer_config.json", config)
    save_json(directory / "special_tokens_map.json", special)
    # transformers 5 would rebuild a LlamaTokenizerFast from its vocabulary; what counts is tokenizer.json.
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"), **special)
    tokenizer.chat_template = chat_templates.LLAVA
    return tokenizer


def write_processor(directory, spec, tokenizer):
    size = spec["vision"]["image_size"]
    common = dict(size={"shortest_edge": size}, crop_size={"height": size, "width": size}, image_mean=MEAN, image_std=STD, resample=3)
    image_processor = LlavaImageProcessorPil(do_pad=True, **common) if spec["pad"] == "do_pad" else CLIPImageProcessorPil(**common)
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=spec["vision"]["patch_size"],
        vision_feature_select_strategy=spec["strategy"],
        num_additional_image_tokens=1,
        chat_template=chat_templates.LLAVA,
    )
    if spec["names"] == "saved":
        kept = {name: (directory / name).read_text() for name in ("tokenizer.json", "tokenizer_config.json")}
        processor.save_pretrained(directory)
        for name, text in kept.items():
            (directory / name).write_text(text)
        return processor
    flags = dict(do_resize=True, do_center_crop=True, do_rescale=True, rescale_factor=1 / 255, do_normalize=True, do_convert_rgb=True)
    save_json(
        directory / "preprocessor_config.json",
        {**flags, **common, "image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor"},
    )
    if spec["names"] == "hub":
        save_json(directory / "chat_template.json", {"chat_template": chat_templates.LLAVA})
        save_json(directory / "processor_config.json", {"image_token": "<image>", "processor_class": "LlavaProcessor", "patch_size": spec["vision"]["patch_size"], "vision_feature_select_strategy": spec["strategy"], "num_additional_image_tokens": 1})
    else:
        (directory / "chat_template.jinja").write_text(chat_templates.LLAVA, encoding="utf-8")
        save_json(directory / "processor_config.json", {"image_token": "<image>", "processor_class": "LlavaProcessor", "patch_size": spec["vision"]["patch_size"], "vision_feature_select_strategy": spec["strategy"], "num_additional_image_tokens": 1})
    return processor


def attempt_model(directory, spec, seed, processor, pictures):
    tokenizer = processor.tokenizer
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    vocab = len(tokenizer) + 12
    grid = spec["vision"]["image_size"] // spec["vision"]["patch_size"]
    config = LlavaConfig(
        vision_config=dict(spec["vision"], model_type="clip_vision_model", projection_dim=18),
        text_config=dict(
            spec["text"],
            model_type="llama",
            vocab_size=vocab,
            max_position_embeddings=256,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            bos_token_id=1,
            eos_token_id=2,
            tie_word_embeddings=False,
        ),
        image_token_index=image_id,
        image_seq_length=grid * grid + (spec["strategy"] == "full"),
        projector_hidden_act="gelu",
        vision_feature_select_strategy=spec["strategy"],
        vision_feature_layer=spec["layer"],
        multimodal_projector_bias=spec.get("projector_bias", True),
        architectures=["LlavaForConditionalGeneration"],
    )
    model = randomize(LlavaForConditionalGeneration(config), seed, GAINS)
    quiet_rows(model, [image_id, tokenizer.convert_tokens_to_ids("<pad>"), *range(len(tokenizer), vocab)])
    for part in (model.generation_config,):
        part.bos_token_id, part.eos_token_id, part.pad_token_id = 1, 2, tokenizer.convert_tokens_to_ids("<pad>")
    one = processor(images=squares(pictures[:1], spec), text=PROMPT, return_tensors="pt")
    two = processor(images=squares(pictures, spec), text=TWO, return_tensors="pt")
    free, _ = greedy(model, one, NEW, ignore_eos=True)
    if not plant_eos(model, 2, free, one["input_ids"].shape[1]):
        return None
    write_model(directory, spec, model, config, tokenizer)
    model = reload(directory, spec, model)
    runs = {
        "sequences": greedy(model, one, NEW),
        "sequences_ignore_eos": greedy(model, one, NEW, ignore_eos=True),
        "two.sequences_ignore_eos": greedy(model, two, NEW, ignore_eos=True),
    }
    worst = min(margin for _, margin in runs.values())
    stopped = runs["sequences"][0]
    if worst < SMALLEST_MARGIN or stopped[0, -1] != 2 or stopped.shape[1] == runs["sequences_ignore_eos"][0].shape[1]:
        return None
    print(f"   seed {seed}, smallest margin {worst:.3f}, answer of {stopped.shape[1] - one['input_ids'].shape[1]} tokens")
    return model, one, two, {key: ids for key, (ids, _) in runs.items()}


def expand2square(picture, mean):
    """LLaVA's own padding: the picture in the middle of a square of the processor's mean colour."""
    width, height = picture.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), tuple(int(value * 255) for value in mean))
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def squares(pictures, spec):
    """What reaches the image processor. With image_aspect_ratio "pad" LLaVA pads before it; do_pad is inside it."""
    return [expand2square(picture, MEAN) for picture in pictures] if spec["pad"] == "image_aspect_ratio" else pictures


def renamed(state, names):
    """Tensor names of several generations; `state` has those of transformers 5 modules."""
    out = {}
    for name, tensor in state.items():
        if names in ("hub", "modules-4"):
            name = name.replace("model.vision_tower.", "model.vision_tower.vision_model.")
        if names == "hub":
            name = name.replace("model.language_model.", "language_model.model.")
            name = name.replace("model.vision_tower.", "vision_tower.").replace("model.multi_modal_projector.", "multi_modal_projector.")
            name = "language_model.lm_head.weight" if name == "lm_head.weight" else name
        out[name] = tensor
    return out


def write_model(directory, spec, model, config, tokenizer):
    for old in directory.glob("model*"):
        old.unlink()
    if spec["names"] == "saved":
        copy.deepcopy(model).to(spec["dtype"]).save_pretrained(directory)
        (directory / "model.safetensors").chmod(0o644)
    else:
        config.save_pretrained(directory)
        state = renamed({key: value.to(spec["dtype"]) for key, value in model.state_dict().items()}, spec["names"])
        if spec["names"] == "hub":
            # Files of that time also hold this buffer.
            positions = model.model.vision_tower.embeddings.position_ids
            state["vision_tower.vision_model.embeddings.position_ids"] = positions
            save_sharded(directory, state, 2)
        else:
            save_weights(directory / "model.safetensors", state)
    dtype = str(spec["dtype"]).removeprefix("torch.")
    if spec["names"] == "hub":
        older_config(directory, dtype)
    else:
        update_json(directory / "config.json", dtype=dtype)
    pad = tokenizer.convert_tokens_to_ids("<pad>")
    save_json(directory / "generation_config.json", {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": pad})


def older_config(directory, dtype):
    config = load_json(directory / "config.json")
    text = config["text_config"]
    text["rope_theta"] = text.pop("rope_parameters")["rope_theta"]
    for part in (text, config["vision_config"], config):
        part.pop("dtype", None)
    text["torch_dtype"] = dtype
    update_json(directory / "config.json", dtype=..., torch_dtype=dtype, text_config=text, vision_config=config["vision_config"], image_aspect_ratio="pad", transformers_version="4.36.0.dev0")


def reload(directory, spec, model):
    """The model as f32 from the tensors as stored, whatever their names in the file."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(spec["dtype"]).float()
    again = LlavaForConditionalGeneration.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    if spec["names"] != "modules-4":
        for (name, want), (_, found) in zip(model.named_parameters(), again.named_parameters(), strict=True):
            assert torch.equal(want, found), f"{name} is not read back from its {spec['names']} name"
    else:
        again.load_state_dict(model.state_dict())
    return again


def expect(directory, spec, processor, pictures, model, one, two, sequences):
    tensors = dict(sequences)
    for prefix, inputs in (("", one), ("two.", two)):
        blocks = {"last_block_output": model.model.language_model.layers[-1]} if not prefix else {}
        with torch.no_grad():
            output, seen = capture(blocks, lambda: model(**inputs, output_hidden_states=True))
            vision = model.model.vision_tower(inputs["pixel_values"], output_hidden_states=True)
        features = torch.stack(model.get_image_features(inputs["pixel_values"], spec["layer"], spec["strategy"]).pooler_output)
        tensors |= {
            f"{prefix}input_ids": inputs["input_ids"],
            f"{prefix}pixel_values": inputs["pixel_values"],
            f"{prefix}image_features": features,
        }
        if prefix:
            tensors["two.last_logits"] = output.logits[:, -1]
        else:
            tensors["logits"] = output.logits
            tensors |= {f"vision.hidden_states.{i}": state for i, state in enumerate(vision.hidden_states)}
            tensors |= {f"hidden_states.{i}": state for i, state in enumerate(output.hidden_states)}
            tensors |= seen
    # Both treatments of both pictures, whichever this checkpoint asks for.
    common = dict(return_tensors="pt", do_center_crop=True)
    plain = CLIPImageProcessorPil.from_dict({**processor.image_processor.to_dict(), "do_pad": False})
    tensors["processor.crop.pixel_values"] = plain(pictures, **common)["pixel_values"]
    padded = plain([expand2square(picture, MEAN) for picture in pictures], **common)["pixel_values"]
    inside = LlavaImageProcessorPil.from_dict({**processor.image_processor.to_dict(), "do_pad": True})(pictures, **common)["pixel_values"]
    assert torch.equal(padded, inside), "LLaVA's expand2square and transformers' do_pad differ"
    tensors["processor.pad.pixel_values"] = padded
    chosen = tensors["processor.pad.pixel_values" if spec["pad"] else "processor.crop.pixel_values"]
    assert torch.equal(chosen, two["pixel_values"])
    save_tensors(directory / "expect.safetensors", tensors)
    tokenizer = processor.tokenizer
    start = one["input_ids"].shape[1]
    text = {"tokenizer": cases(directory, np.random.default_rng(spec["seed"]))} if spec["names"] == "modules" else {}
    words = dict(skip_special_tokens=True, clean_up_tokenization_spaces=False)
    save_json(
        directory / "expect.json",
        {
            "prompt": PROMPT,
            "pictures": ["wide.png"],
            "two": {"prompt": TWO, "pictures": ["wide.png", "tall.jpg"]},
            "max_new_tokens": NEW,
            "padding": spec["pad"],
            "answer": tokenizer.decode(sequences["sequences"][0, start:], **words),
            "answer_ignore_eos": tokenizer.decode(sequences["sequences_ignore_eos"][0, start:], **words),
            "chat": chat_templates.chat_cases(tokenizer, chat_templates.PICTURE_CONVERSATIONS),
            **text,
        },
    )
