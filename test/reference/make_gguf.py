"""GGUF fixtures: checkpoints of other fixtures as llama.cpp would convert them, and small ones in every block format."""

import json
import math

import chat_templates
import numpy as np
import torch
from common import FIXTURES as ROOT
from common import capture, fresh_directory, load_json, randomize, report, save_json, save_tensors
from decoding import greedy, plant_eos
from gguf_blocks import dequantize, quantize
from gguf_format import write_gguf
from make_llama import GAINS, PROMPT, quiet_rows
from safetensors.torch import load_file
from tiny_tokenizers import llama2_tokenizer, llama3_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
NEW = 12
# Weights are rounded to f16, or multiplied as they are by kernels that may round activations to 8 bits.
SMALLEST_MARGIN = 0.08

FIXTURES = {
    # The weights of llama-gqa, llama-tied-llama3, llama-f16, llava-older and llava-layers as they are.
    "gguf-converted": {},
    # Each file its own checkpoint: rows of two and three blocks of 32.
    "gguf-blocks": dict(
        seed=71,
        config=dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2),
        tokenizer="llama2",
        files={
            "q8_0": dict(every="Q8_0"),
            "q4_0": dict(every="Q4_0", output="Q8_0"),
            "q4_1": dict(every="Q4_1", output="Q8_0"),
            "q5": dict(every="Q5_0", output="Q8_0", attn_k="Q5_1", ffn_down="Q5_1", attn_v="F16"),
        },
    ),
    # Blocks of 256, mixed as quantised files are: attn_v and ffn_down in more bits.
    "gguf-super-blocks": dict(
        seed=72,
        config=dict(hidden_size=256, intermediate_size=256, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2),
        tokenizer="llama3",
        files={
            "q4_k_m": dict(every="Q4_K", attn_v="Q6_K", ffn_down="Q6_K", output="Q6_K"),
            "q5_k": dict(every="Q5_K", output="Q4_K"),
        },
    ),
}


def make(name):
    directory = fresh_directory(name)
    spec = FIXTURES[name]
    if spec:
        make_blocks(directory, spec)
    else:
        make_converted(directory)
    report(directory)


def permute(weights, heads):
    """
    Rows of a query or key projection in the order of llama.cpp's rotary embedding, which turns neighbouring pairs where
    Hugging Face turns halves: row i of the first half of a head comes before row i of the second (LlamaModel.permute of
    llama.cpp's conversion; ggml's docs/gguf.md, llama.tensor_data_layout).
    """
    halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)


LLAMA_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def llama_name(name):
    """model.layers.0.mlp.up_proj.weight to blk.0.ffn_up.weight."""
    leaf = name.rpartition(".")[2]
    if name.startswith("model.layers."):
        _, _, layer, *module = name.split(".")
        return f"blk.{layer}.{LLAMA_NAMES['.'.join(module[:-1])]}.{leaf}"
    return {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[name.rpartition(".")[0]] + f".{leaf}"


def llama_tensors(state, config, form):
    """{name: (format, bytes, shape)} of a decoder. `form(name)` says in which format a matrix is stored; the rest is F32."""
    tensors = {}
    for name, value in state.items():
        value = value.float().numpy()
        if ".q_proj." in name:
            value = permute(value, config["num_attention_heads"])
        if ".k_proj." in name:
            value = permute(value, config["num_key_value_heads"])
        stored = llama_name(name)
        kind = form(stored) if value.ndim == 2 else "F32"
        tensors[stored] = (kind, quantize(value, kind), value.shape)
    factors = rope_factors(config)
    if factors is not None:
        tensors["rope_freqs.weight"] = ("F32", quantize(factors, "F32"), factors.shape)
    return tensors


def rope_factors(config):
    """What each frequency is divided by in Llama 3.1 (Hugging Face's _compute_llama3_parameters)."""
    scaling = config.get("rope_scaling")
    if not scaling:
        return None
    factor, low, high, length = (scaling[key] for key in ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"))
    frequencies = 1 / config["rope_theta"] ** (np.arange(0, config["head_dim"], 2) / config["head_dim"])
    turns = length * frequencies / (2 * math.pi)
    smooth = ((turns - low) / (high - low)).clip(0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def llama_metadata(config, name):
    d = config["head_dim"]
    rope = config.get("rope_parameters") or config
    return {
        "general.architecture": ("str", "llama"),
        "general.name": ("str", name),
        "general.quantization_version": ("u32", 2),
        "llama.block_count": ("u32", config["num_hidden_layers"]),
        "llama.context_length": ("u32", config["max_position_embeddings"]),
        "llama.embedding_length": ("u32", config["hidden_size"]),
        "llama.feed_forward_length": ("u32", config["intermediate_size"]),
        "llama.attention.head_count": ("u32", config["num_attention_heads"]),
        "llama.attention.head_count_kv": ("u32", config["num_key_value_heads"]),
        "llama.attention.layer_norm_rms_epsilon": ("f32", config["rms_norm_eps"]),
        "llama.attention.key_length": ("u32", d),
        "llama.attention.value_length": ("u32", d),
        "llama.rope.dimension_count": ("u32", d),
        "llama.rope.freq_base": ("f32", rope["rope_theta"]),
        "llama.vocab_size": ("u32", config["vocab_size"]),
    }


def tokenizer_metadata(tokenizer, vocab_size, special, template):
    """
    `tokenizer`: parsed tokenizer.json; `special`: {"bos_token": …}. Ids that it does not know are [PAD…] of type unused.
    SentencePiece's pieces have falling scores in the order of their ids, as in Llama 2's tokenizer.model.
    """
    model = tokenizer["model"]
    pieces = {index: piece for piece, index in model["vocab"].items()}
    controls = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    pieces |= controls
    byte_level = not model.get("byte_fallback")
    kinds, scores = [], []
    for index in range(vocab_size):
        piece = pieces.get(index)
        if piece is None:
            kind, pieces[index] = UNUSED, f"[PAD{index}]"
        elif index in controls:
            kind = UNKNOWN if piece == model.get("unk_token") else CONTROL
        else:
            kind = BYTE if not byte_level and piece.startswith("<0x") and len(piece) == 6 else NORMAL
        kinds.append(kind)
        scores.append(float(259 - index) if kind == NORMAL else 0.0)
    metadata = {
        "tokenizer.ggml.model": ("str", "gpt2" if byte_level else "llama"),
        "tokenizer.ggml.pre": ("str", "llama-bpe" if byte_level else "default"),
        "tokenizer.ggml.tokens": (["str"], [pieces[index] for index in range(vocab_size)]),
        "tokenizer.ggml.token_type": (["i32"], kinds),
    }
    if byte_level:
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        metadata["tokenizer.ggml.merges"] = (["str"], merges)
    else:
        metadata["tokenizer.ggml.scores"] = (["f32"], scores)
    ids = {content: index for index, content in controls.items()}
    keys = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    for field, key in keys.items():
        if special.get(field) is not None:
            metadata[f"tokenizer.ggml.{key}_token_id"] = ("u32", ids[special[field]])
    metadata["tokenizer.ggml.add_bos_token"] = ("bool", True)
    if template is not None:
        metadata["tokenizer.chat_template"] = ("str", template)
    return metadata


def saved(name):
    """A fixture's decoder configuration, weights and tokenizer metadata."""
    folder = ROOT / name
    config = load_json(folder / "config.json")
    state = {}
    for file in sorted(folder.glob("model*.safetensors")):
        state |= load_file(file)
    special = load_json(folder / "special_tokens_map.json")
    template = load_json(folder / "tokenizer_config.json").get("chat_template")
    if template is None and (folder / "chat_template.jinja").exists():
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    if (folder / "chat_template.json").exists():
        template = load_json(folder / "chat_template.json")["chat_template"]
    text = config.get("text_config", config)
    tokens = tokenizer_metadata(load_json(folder / "tokenizer.json"), text["vocab_size"], special, template)
    return config, state, tokens


def make_converted(directory):
    for name, form in {"llama-gqa": "F32", "llama-tied-llama3": "BF16"}.items():
        config, state, tokens = saved(name)
        write_gguf(directory / f"{name}.gguf", llama_metadata(config, name) | tokens, llama_tensors(state, config, lambda _, form=form: form))
    config, state, tokens = saved("llama-f16")
    write_split(directory, "llama-f16", llama_metadata(config, "llama-f16") | tokens, llama_tensors(state, config, lambda _: "F16"), 3)
    for name, form in {"llava-older": "F16", "llava-layers": "BF16"}.items():
        write_llava(directory, name, form)


def write_split(directory, name, metadata, tensors, count):
    """The files that llama-gguf-split makes: all metadata in the first, a share of the tensors in each."""
    names = list(tensors)
    share = math.ceil(len(names) / count)
    for number in range(count):
        part = {key: tensors[key] for key in names[number * share : (number + 1) * share]}
        split = {
            "split.no": ("u16", number),
            "split.count": ("u16", count),
            "split.tensors.count": ("i32", len(names)),
        }
        write_gguf(directory / f"{name}-{number + 1:05d}-of-{count:05d}.gguf", (metadata if number == 0 else {}) | split, part)


def write_llava(directory, name, form):
    """
    Decoder and mmproj. llava-older is as the first converters wrote it: blocks up to the feature layer only, fc1 called
    ffn_down and fc2 ffn_up, no feature_layer. llava-layers: today's names, feature_layer, image_aspect_ratio.
    """
    config, state, tokens = saved(name)
    older = name == "llava-older"
    text, vision = config["text_config"], config["vision_config"]
    prefixes = ("language_model.", "vision_tower.vision_model.", "multi_modal_projector.")
    parts = {prefix: {} for prefix in prefixes}
    for key, value in state.items():
        key = key.removeprefix("model.") if not key.startswith("model.language_model.") else key.replace("model.language_model.", "language_model.model.")
        key = "language_model." + key if key.startswith("lm_head.") else key
        prefix = next(p for p in prefixes if key.startswith(p))
        parts[prefix][key.removeprefix(prefix)] = value
    language, tower, projector = (parts[prefix] for prefix in prefixes)
    write_gguf(directory / f"{name}.gguf", llama_metadata(text, name) | tokens, llama_tensors(language, text, lambda _: form))
    layers = [config["vision_feature_layer"]] if isinstance(config["vision_feature_layer"], int) else config["vision_feature_layer"]
    layers = [layer if layer >= 0 else layer + vision["num_hidden_layers"] + 1 for layer in layers]
    names = {
        "embeddings.class_embedding": "class_embd",
        "embeddings.patch_embedding": "patch_embd",
        "embeddings.position_embedding": "position_embd",
        "pre_layrnorm": "pre_ln",
        "layer_norm1": "ln1",
        "layer_norm2": "ln2",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.out_proj": "attn_out",
        "mlp.fc1": "ffn_down" if older else "ffn_up",
        "mlp.fc2": "ffn_up" if older else "ffn_down",
    }
    tensors = {}
    for key, value in tower.items():
        path = key.split(".")
        if "position_ids" in key or "post_layernorm" in key or (path[0] == "encoder" and int(path[2]) >= max(layers)):
            continue
        block = f"blk.{path[2]}." if path[0] == "encoder" else ""
        module = ".".join(path[3:-1] if block else path[:-1])
        stored = f"v.{block}{names[module]}.{path[-1]}" if module in names else f"v.{names[key]}"
        tensors[stored] = value
    for key, value in projector.items():
        tensors[key.replace("linear_1", "mm.0").replace("linear_2", "mm.2")] = value
    packed = {}
    for key, value in tensors.items():
        value = value.float().numpy()
        kind = form if value.ndim in (2, 4) else "F32"
        packed[key] = (kind, quantize(value, kind), value.shape)
    metadata = {
        "general.architecture": ("str", "clip"),
        "general.name": ("str", name),
        "clip.has_text_encoder": ("bool", False),
        "clip.has_vision_encoder": ("bool", True),
        "clip.has_llava_projector": ("bool", True),
        "clip.projector_type": ("str", "mlp"),
        "clip.use_gelu": ("bool", vision["hidden_act"] == "gelu"),
        "clip.vision.image_size": ("u32", vision["image_size"]),
        "clip.vision.patch_size": ("u32", vision["patch_size"]),
        "clip.vision.embedding_length": ("u32", vision["hidden_size"]),
        "clip.vision.feed_forward_length": ("u32", vision["intermediate_size"]),
        "clip.vision.projection_dim": ("u32", vision["projection_dim"]),
        "clip.vision.attention.head_count": ("u32", vision["num_attention_heads"]),
        "clip.vision.attention.layer_norm_epsilon": ("f32", vision["layer_norm_eps"]),
        "clip.vision.block_count": ("u32", max(layers)),
        "clip.vision.image_mean": (["f32"], [0.48145466, 0.4578275, 0.40821073]),
        "clip.vision.image_std": (["f32"], [0.26862954, 0.26130258, 0.27577711]),
    }
    if not older:
        metadata |= {
            "clip.vision.feature_layer": (["i32"], layers),
            "clip.vision.image_aspect_ratio": ("str", "square"),
        }
    write_gguf(directory / f"mmproj-{name}.gguf", metadata, packed)


def make_blocks(directory, spec):
    make_tokenizer = llama2_tokenizer if spec["tokenizer"] == "llama2" else llama3_tokenizer
    tokenizer = make_tokenizer()
    special = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>") if spec["tokenizer"] == "llama2" else dict(bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")
    size = tokenizer.get_vocab_size()
    eos = tokenizer.token_to_id(special["eos_token"])
    prompt = torch.tensor([tokenizer.encode(PROMPT).ids])
    tensors, expected = {}, {}
    for number, (file, forms) in enumerate(spec["files"].items()):
        for attempt in range(2000):
            made = attempt_blocks(spec, forms, spec["seed"] + 10 * number + 100 * attempt, size, tokenizer, special, prompt)
            if made is not None:
                break
        else:
            raise SystemExit(f"{file}: no seed gives clear greedy margins")
        metadata, packed, runs, logits, margin = made
        print(f"   {file}: seed {spec['seed'] + 10 * number + 100 * attempt}, smallest margin {margin:.3f}")
        # an unusual alignment, which must be a multiple of 8
        write_gguf(directory / f"{file}.gguf", metadata, packed, alignment=64 if number == 1 else 32)
        tensors |= {f"{file}.{key}": value for key, value in runs.items()} | {f"{file}.last_logits": logits}
        answer = runs["sequences"][0, prompt.shape[1] :]
        expected[file] = {"answer": tokenizer.decode(answer.tolist(), skip_special_tokens=True), "formats": sorted({form for form, _, _ in packed.values()})}
        assert eos in runs["sequences"]
    save_tensors(directory / "expect.safetensors", {"input_ids": prompt} | tensors)
    save_json(directory / "expect.json", {"prompt": PROMPT, "max_new_tokens": NEW, "files": expected})


def attempt_blocks(spec, forms, seed, size, tokenizer, special, prompt):
    """A checkpoint as its file has it, run in f32; None where a greedy step is too close to call."""
    config = LlamaConfig(
        **spec["config"],
        tie_word_embeddings=False,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        vocab_size=size,
        bos_token_id=tokenizer.token_to_id(special["bos_token"]),
        eos_token_id=tokenizer.token_to_id(special["eos_token"]),
        pad_token_id=None,
        attn_implementation="eager",
    )
    model = randomize(LlamaForCausalLM(config), seed, GAINS)
    state = model.state_dict()
    plain = config.to_dict()

    def form(name):
        return next((kind for part, kind in forms.items() if part in name.split(".")), forms["every"])

    packed = llama_tensors(state, plain, form)
    load_packed(model, packed, plain)
    free, margin = greedy(model, {"input_ids": prompt}, NEW, ignore_eos=True)
    head = model.get_output_embeddings().weight
    before = head.detach().clone()
    if margin < SMALLEST_MARGIN or not plant_eos(model, config.eos_token_id, free, prompt.shape[1], after=4):
        return None
    # the same exchange in the file: rows are blocks of their own
    exchanged = (head != before).any(-1).nonzero()[:, 0].tolist()
    _, rows, _ = packed["output.weight"]
    rows[exchanged] = rows[exchanged[::-1]]
    runs = {
        "sequences": greedy(model, {"input_ids": prompt}, NEW),
        "sequences_ignore_eos": greedy(model, {"input_ids": prompt}, NEW, ignore_eos=True),
    }
    margin = min(m for _, m in runs.values())
    ended = runs["sequences"][0]
    if margin < SMALLEST_MARGIN or ended[0, -1] != config.eos_token_id:
        return None
    with torch.no_grad():
        logits = model(input_ids=prompt).logits[:, -1]
    tokens = tokenizer_metadata(json.loads(tokenizer.to_str()), size, special, None)
    return llama_metadata(plain, "blocks") | tokens, packed, {key: ids for key, (ids, _) in runs.items()}, logits, margin


def load_packed(model, packed, config):
    """Puts the values of the file's blocks into the model, rows of queries and keys in Hugging Face's order again."""
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            stored = llama_name(name)
            kind, data, shape = packed[stored]
            value = dequantize(data, kind).reshape(shape)
            part = stored.split(".")[-2]
            if part in heads:
                value = value.reshape(heads[part], shape[0] // heads[part] // 2, 2, shape[1]).swapaxes(1, 2).reshape(shape)
            parameter.copy_(torch.from_numpy(np.array(value, np.float32)))
