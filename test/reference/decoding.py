"""Greedy sequences and the distribution that transformers samples from."""

import torch
from common import margins
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


def greedy(model, inputs, count, ignore_eos=False, **options):
    """Ids [1, T + n] of generate(), and the smallest top-1 margin met, in standard deviations of the scores."""
    stops = model.generation_config.eos_token_id
    if ignore_eos:
        model.generation_config.eos_token_id = None
    try:
        with torch.no_grad():
            output = model.generate(
                **inputs,
                max_new_tokens=count,
                do_sample=False,
                output_scores=True,
                return_dict_in_generate=True,
                **options,
            )
    finally:
        model.generation_config.eos_token_id = stops
    smallest = min(margins(scores).min().item() for scores in output.scores)
    return output.sequences, smallest


def plant_eos(model, eos, sequences, prompt_length, after=6):
    """Exchanges two rows of the head so that `eos` is what greedy decoding meets, some steps into the answer.

    The token taken is the first that is new to the sequence after `after` steps, so every earlier step stays.
    """
    ids = sequences[0].tolist()
    for position in range(prompt_length + after, len(ids) - 2):
        if ids[position] not in ids[:position] and ids[position] not in (eos, model.config.get_text_config().bos_token_id):
            rows = model.get_output_embeddings().weight
            with torch.no_grad():
                rows[[eos, ids[position]]] = rows[[ids[position], eos]].clone()
            return True
    return False


SAMPLING = {
    "plain": {},
    "temperature-low": {"temperature": 0.35},
    "temperature-high": {"temperature": 1.7},
    "top-k-1": {"top_k": 1},
    "top-k-7": {"top_k": 7},
    "top-k-beyond": {"top_k": 100000},
    "top-p-half": {"top_p": 0.5},
    "top-p-tiny": {"top_p": 0.001},
    "top-p-most": {"top_p": 0.97},
    "repetition": {"repetition_penalty": 1.3},
    "all": {"repetition_penalty": 1.15, "temperature": 0.8, "top_k": 25, "top_p": 0.9},
    "all-with-min-p": {"repetition_penalty": 1.15, "temperature": 1.3, "top_k": 60, "top_p": 0.95, "min_p": 0.05},
}


def distribution(logits, ids, repetition_penalty=None, temperature=None, top_k=None, top_p=None, min_p=None):
    """Probabilities [V] in generate()'s order: repetition penalty, temperature, top-k, top-p, min-p, softmax."""
    steps = LogitsProcessorList()
    if repetition_penalty is not None:
        steps.append(RepetitionPenaltyLogitsProcessor(repetition_penalty))
    if temperature is not None:
        steps.append(TemperatureLogitsWarper(temperature))
    if top_k is not None:
        steps.append(TopKLogitsWarper(top_k))
    if top_p is not None:
        steps.append(TopPLogitsWarper(top_p))
    if min_p is not None:
        steps.append(MinPLogitsWarper(min_p))
    return steps(ids[None], logits[None].clone()).softmax(-1)[0]


def sampling_cases(logits, ids):
    """Tensors and settings of every case, on a model's row [V] and on the same row rounded until values tie."""
    tensors = {"sampling.logits": logits, "sampling.input_ids": ids}
    tensors["sampling.tied_logits"] = (logits * 2).round() / 2
    for name, settings in SAMPLING.items():
        tensors[f"sampling.{name}.probs"] = distribution(logits, ids, **settings)
    for k in (3, 20):
        tensors[f"sampling.tied-top-k-{k}.probs"] = distribution(tensors["sampling.tied_logits"], ids, top_k=k)
    settings = [{"name": name, "logits": "sampling.logits", **given} for name, given in SAMPLING.items()]
    settings += [{"name": f"tied-top-k-{k}", "logits": "sampling.tied_logits", "top_k": k} for k in (3, 20)]
    return tensors, settings
