"""Llama fixtures: grouped-query with biases; tied, llama3 rope, sharded bf16; f16 with a SentencePiece-like tokenizer."""

import copy

import chat_templates
import numpy as np
import torch
from common import (
    capture,
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
from decoding import greedy, plant_eos, sampling_cases
from tiny_tokenizers import cases, llama2_tokenizer, llama3_tokenizer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

GAINS = {"q_proj.weight": 1.8, "k_proj.weight": 1.8, "lm_head": 1.6, "embed_tokens": 0.9, "o_proj.weight": 1.2, "down_proj": 1.5}
PROMPT = "What is in the picture? The small dog sits on the old wooden table while Größe 42 😀 looks."
SHORT = "A"
NEW = 24
SMALLEST_MARGIN = 0.01

FIXTURES = {
    "llama-gqa": dict(
        seed=21,
        tokenizer="llama3",
        dtype=torch.float32,
        # head_dim is not hidden_size / heads; biases on q, k, v and o.
        config=dict(hidden_size=36, intermediate_size=70, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=14, attention_bias=True, tie_word_embeddings=False, max_position_embeddings=160, rms_norm_eps=1e-5),
        rope=dict(rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        pad_vocab=6,
    ),
    "llama-tied-llama3": dict(
        seed=22,
        tokenizer="llama3-blocks",
        dtype=torch.bfloat16,
        shards=3,
        config=dict(hidden_size=40, intermediate_size=86, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=1, tie_word_embeddings=True, max_position_embeddings=512, rms_norm_eps=1e-5),
        # One wavelength left alone, one between the two bounds, the others divided by the factor.
        rope=dict(
            rope_theta=10000.0,
            rope_scaling={"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 64, "rope_type": "llama3"},
        ),
        pad_vocab=0,
    ),
    "llama-f16": dict(
        seed=23,
        tokenizer="llama2",
        dtype=torch.float16,
        config=dict(hidden_size=48, intermediate_size=77, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3, tie_word_embeddings=False, max_position_embeddings=96, rms_norm_eps=1e-6),
        rope=dict(rope_theta=10000.0, rope_scaling=None),
        pad_vocab=1,
    ),
}


def make(name):
    spec = FIXTURES[name]
    for attempt in range(200):
        directory = fresh_directory(name)
        write_tokenizer(directory, spec)
        tensors = attempt_model(directory, spec, spec["seed"] + 100 * attempt)
        if tensors is not None:
            break
    else:
        raise SystemExit(f"{name}: no seed gives clear greedy margins")
    expect(directory, spec, *tensors)
    report(directory)


def write_tokenizer(directory, spec):
    kind = spec["tokenizer"]
    if kind == "llama2":
        llama2_tokenizer(legacy=True).save(str(directory / "tokenizer.json"))
        special = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")
        template = chat_templates.LLAMA2
    else:
        llama3_tokenizer().save(str(directory / "tokenizer.json"))
        special = dict(bos_token="<|begin_of_text|>", eos_token="<|eot_id|>", pad_token="<|finetune_right_pad_id|>")
        template = chat_templates.LLAMA3_BLOCKS if kind == "llama3-blocks" else chat_templates.LLAMA3
    added = load_json(directory / "tokenizer.json")["added_tokens"]
    config = {
        "added_tokens_decoder": {str(token.pop("id")): token for token in added},
        **special,
        "clean_up_tokenization_spaces": False,
        "model_max_length": spec["config"]["max_position_embeddings"],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    if kind == "llama3-blocks":
        (directory / "chat_template.jinja").write_text(template, encoding="utf-8")
    else:
        config["chat_template"] = template
    save_json(directory / "tokenizer_config.json", config)
    save_json(directory / "special_tokens_map.json", special)


def attempt_model(directory, spec, seed):
    """Writes the checkpoint for a seed; None where a greedy step is too close to call, else what was generated."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    eos = tokenizer.eos_token_id
    end_of_text = tokenizer.convert_tokens_to_ids("<|end_of_text|>") if "llama3" in spec["tokenizer"] else None
    stops = [end_of_text, eos] if end_of_text is not None else eos
    config = LlamaConfig(
        **spec["config"],
        **copy.deepcopy(spec["rope"]),  # transformers writes into the dictionary it is given
        vocab_size=len(tokenizer) + spec["pad_vocab"],
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=stops,
        pad_token_id=None,
        architectures=["LlamaForCausalLM"],
    )
    model = randomize(LlamaForCausalLM(config), seed, GAINS)
    quiet_rows(model, list(range(len(tokenizer), config.vocab_size)))
    prompt = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    short = tokenizer(SHORT, return_tensors="pt")["input_ids"]
    free, _ = greedy(model, {"input_ids": prompt}, NEW, ignore_eos=True)
    if not plant_eos(model, eos, free, prompt.shape[1]):
        return None
    write_model(directory, spec, model, config, tokenizer, stops)
    # From here on, what was written is what counts: the weights as rounded to the file's dtype, computed in f32.
    model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    runs = {
        "sequences": greedy(model, {"input_ids": prompt}, NEW),
        "sequences_ignore_eos": greedy(model, {"input_ids": prompt}, NEW, ignore_eos=True),
        "sequences_repetition_penalty": greedy(model, {"input_ids": prompt}, NEW, ignore_eos=True, repetition_penalty=1.3),
        "short.sequences_ignore_eos": greedy(model, {"input_ids": short}, NEW, ignore_eos=True),
    }
    worst = min(margin for _, margin in runs.values())
    stopped = runs["sequences"][0]
    if worst < SMALLEST_MARGIN or stopped[0, -1] != eos or stopped.shape[1] - prompt.shape[1] < 6:
        return None
    print(f"   seed {seed}, smallest margin {worst:.3f}, answer of {stopped.shape[1] - prompt.shape[1]} tokens")
    return model, tokenizer, prompt, short, {key: ids for key, (ids, _) in runs.items()}


def quiet_rows(model, rows):
    """Ids that no text has (rows beyond the tokenizer) must not win."""
    with torch.no_grad():
        model.get_output_embeddings().weight[rows] *= 0.05


def write_model(directory, spec, model, config, tokenizer, stops):
    state = {key: value.to(spec["dtype"]) for key, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        state.pop("lm_head.weight")
    for old in directory.glob("model*"):
        old.unlink()
    if "shards" in spec:
        save_sharded(directory, state, spec["shards"])
    else:
        save_weights(directory / "model.safetensors", state)
    config.save_pretrained(directory)
    dtype = str(spec["dtype"]).removeprefix("torch.")
    if "rope_theta" in spec["rope"]:  # configs written before transformers 5
        update_json(directory / "config.json", rope_parameters=..., dtype=..., torch_dtype=dtype, transformers_version="4.45.0", **spec["rope"])
    else:
        update_json(directory / "config.json", dtype=dtype)
    generation = {"_from_model_config": True, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": stops}
    if isinstance(stops, list):
        generation |= {"do_sample": True, "temperature": 0.6, "top_p": 0.9}
        generation.pop("_from_model_config")
    save_json(directory / "generation_config.json", generation)


def expect(directory, spec, model, tokenizer, prompt, short, sequences):
    blocks = {"last_block_output": model.model.layers[-1]}
    with torch.no_grad():
        output, seen = capture(blocks, lambda: model(input_ids=prompt, output_hidden_states=True))
        tiny = model(input_ids=short)
    tensors = {"input_ids": prompt, "logits": output.logits, "short.input_ids": short, "short.logits": tiny.logits, **seen, **sequences}
    tensors |= {f"hidden_states.{i}": state for i, state in enumerate(output.hidden_states)}
    sampled, settings = sampling_cases(output.logits[0, -1], prompt[0])
    save_tensors(directory / "expect.safetensors", tensors | sampled)
    text_cases = {}
    if spec["tokenizer"] != "llama3-blocks":  # the same tokenizer.json as llama3
        text_cases = {"tokenizer": cases(directory, np.random.default_rng(spec["seed"]))}
        for case in text_cases["tokenizer"]["encode"]:  # transformers and the tokenizers library must agree
            assert tokenizer.encode(case["text"], add_special_tokens=case["add_special_tokens"]) == case["ids"], case
    save_json(
        directory / "expect.json",
        {
            "prompt": PROMPT,
            "short_prompt": SHORT,
            "max_new_tokens": NEW,
            "repetition_penalty": 1.3,
            "answer": tokenizer.decode(sequences["sequences"][0, prompt.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False),
            "answer_ignore_eos": tokenizer.decode(sequences["sequences_ignore_eos"][0, prompt.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False),
            "sampling": settings,
            "chat": chat_templates.chat_cases(tokenizer, chat_templates.TEXT_CONVERSATIONS),
            **text_cases,
        },
    )
