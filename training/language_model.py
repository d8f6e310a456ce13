"""The language side: LlamaForCausalLM and the projector, for composed tokens or (the baseline) all patch tokens."""

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from common import save_half, save_json
from composition import pooling_matrix, scaled
from tokens import pack

PREFIX = "multi_modal_projector."


class Projector(nn.Module):
    """Linear, GELU, Linear. An input layer for each kind, or one (the baseline's) for patches alone."""

    def __init__(self, width, object_width, out, baseline):
        super().__init__()
        widths = {"cls": width, "patch": width, "object": object_width}
        self.linear_1 = nn.Linear(width, out) if baseline else nn.ModuleDict({k: nn.Linear(w, out) for k, w in widths.items()})
        self.linear_2 = nn.Linear(out, out)
        self.baseline = baseline

    def forward(self, kind, x):
        first = self.linear_1 if self.baseline else self.linear_1[kind]
        return self.linear_2(F.gelu(first(x)))


class Speaker(nn.Module):
    def __init__(self, config, widths, scaling, baseline):
        super().__init__()
        self.language = LlamaForCausalLM(config)
        self.projector = Projector(*widths, config.hidden_size, baseline)
        self.scaling, self.baseline = scaling, baseline

    def visual(self, tokens, composition):
        """Visual tokens behind the projector. [n, D]"""
        if self.baseline:
            return self.projector("patch", tokens["patches"])
        with_cls, layout, kept = composition
        cls, objects = scaled(tokens["cls"], tokens["patches"], tokens["objects"], self.scaling)
        parts = [self.projector("cls", cls)] if with_cls else []
        if layout:
            parts.append(self.projector("patch", pooling_matrix(layout) @ tokens["patches"]))
        if len(kept):
            parts.append(self.projector("object", objects[list(kept)]))
        return torch.cat(parts)

    def answers(self, visual, turns, before):
        """
        Predicts every answer's ids given the right ones before: -> logits [A, V], targets [A], picture [A], turn [A] (from 1).
        Where all of an answer's ids come first, greedy decoding gives just that answer.
        """
        model = self.language.model
        inputs, mask, positions, labels, owner = pack(visual, turns, before, model.embed_tokens)
        hidden = model(inputs_embeds=inputs, attention_mask=mask, position_ids=positions, use_cache=False).last_hidden_state
        picture, place = torch.nonzero(labels != -100, as_tuple=True)
        logits = self.language.lm_head(hidden[picture, place - 1])
        return logits, labels[picture, place], picture, owner[picture, place]


def make(args, speech, widths, scaling):
    ids = {f"{n}_token_id": speech.tokenizer.token_to_id(t) for n, t in (("bos", "<s>"), ("eos", "</s>"), ("pad", "<pad>"))}
    config = LlamaConfig(
        vocab_size=speech.tokenizer.get_vocab_size(), hidden_size=args.width, intermediate_size=args.inner,
        num_hidden_layers=args.layers, num_attention_heads=args.heads, num_key_value_heads=args.heads,
        max_position_embeddings=512, rms_norm_eps=1e-5, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, **ids,
    )
    return Speaker(config, widths, scaling, args.baseline)


@torch.no_grad()
def begin_with(model, other):
    """The other's weights, where they have the same name and shape; a baseline's first layer is that of another's patches."""
    known = other.state_dict()
    for name, parameter in model.state_dict().items():
        source = name.replace("linear_1.", "linear_1.patch.") if model.baseline else name
        if source in known and known[source].shape == parameter.shape:
            parameter.copy_(known[source])


def generation_config(config, folder):
    ids = {name: getattr(config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    save_json(folder / "generation_config.json", {**ids, "do_sample": False, "max_new_tokens": 96})


def copy_tokenizer(source, folder):
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())


def export(model, folder, tokenizer):
    """language/ and projector/ of a Mask-LLaVA checkpoint."""
    save_half(model.language, folder / "language")
    generation_config(model.language.config, folder / "language")
    copy_tokenizer(tokenizer, folder / "language")
    (folder / "projector").mkdir(parents=True, exist_ok=True)
    state = {PREFIX + name: tensor.half().contiguous() for name, tensor in model.projector.state_dict().items()}
    save_file(state, folder / "projector" / "model.safetensors", metadata={"format": "pt"})


def load(folder, settings):
    """What `export` wrote, in f32."""
    language = LlamaForCausalLM.from_pretrained(folder / "language", dtype=torch.float32)
    state = {name.removeprefix(PREFIX): t.float() for name, t in load_file(folder / "projector" / "model.safetensors").items()}
    baseline = "linear_1.weight" in state
    patch = state["linear_1.weight" if baseline else "linear_1.patch.weight"].shape[1]
    objects = patch if baseline else state["linear_1.object.weight"].shape[1]
    model = Speaker(language.config, (patch, objects), settings["norm_scaling"], baseline)
    model.language = language
    model.projector.load_state_dict(state)
    return model.eval()
