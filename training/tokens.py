"""Composed tokens as compose_tokens.py stored them, and the linguistic side of a scene, packed for training."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

IMAGE, EOS = "<image>", "</s>"
# asked in training beside the scenes' own questions: the densest lesson that a picture can give
CAPTION_QUESTION = "What is in the picture?"
# a place is answered with the eighths of the width and of the height, from the left and from the top, that a middle lies in
EIGHTHS = ("one", "two", "three", "four", "five", "six", "seven", "eight")


def places(scene, count, rng):
    """
    (question, answer) about the places of some objects, each alone of its size, colour and shape. They are asked in training
    only: relations of two objects are hardly learnt by those who were never asked where one is.
    """
    name = lambda o: f"{o['size']} {o['colour']} {o['shape']}"
    names = [name(o) for o in scene["objects"]]
    alone = [o for o in scene["objects"] if names.count(name(o)) == 1]
    asked = []
    for k in rng.permutation(len(alone))[:count]:
        x0, y0, x1, y1 = alone[k]["box"]
        across, down = (x0 + x1) / 2 / scene["width"], (y0 + y1) / 2 / scene["height"]
        answer = f"{EIGHTHS[min(7, int(8 * across))]} {EIGHTHS[min(7, int(8 * down))]}"
        asked.append((f"Where is the {name(alone[k])}?", answer))
    return asked


class Tokens:
    """The tokens of a split's scenes; the object tokens by MaskInversion or by mask pooling."""

    def __init__(self, folder, object_tokens="mask_inversion"):
        self.column = {"mask_inversion": "objects", "mask_pool": "pooled"}[object_tokens]
        self.shards, self.starts, self.count = [], [], 0
        for path in sorted(Path(folder).glob("*.safetensors")):
            if int(path.stem) != self.count:
                raise SystemExit(f"{folder}: the shard that begins with scene {self.count} is absent; run compose_tokens.py")
            shard = load_file(path)
            shard["ends"] = shard["counts"].cumsum(0)
            self.shards.append(shard)
            self.starts.append(self.count)
            self.count += len(shard["counts"])

    def __len__(self):
        return self.count

    def at(self, i):
        """cls [1, D], patches [N, D], objects [M, E] (the background last), scores, areas, truth [M]"""
        k = int(np.searchsorted(self.starts, i, side="right")) - 1
        shard, j = self.shards[k], i - self.starts[k]
        rows = slice(int(shard["ends"][j] - shard["counts"][j]), int(shard["ends"][j]))
        own = {name: shard[name][rows] for name in ("scores", "areas", "truth", "boxes")}
        return {
            "cls": shard["cls"][j][None].float(), "patches": shard["patches"][j].float(),
            "objects": shard[self.column][rows].float(), **own,
        }


class Speech:
    """Ids of prompts and answers, in the pieces that packing joins: they are those of the whole prompt."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.image, self.eos = self.tokenizer.token_to_id(IMAGE), self.tokenizer.token_to_id(EOS)
        self.before = self.tokenizer.encode("USER: ").ids  # with <s>
        probe = "Is there a star?"
        whole = self.tokenizer.encode(f"USER: {IMAGE}\n{probe} ASSISTANT: yes{EOS}").ids
        question, answer = self.turn(probe, "yes")
        if whole != [*self.before, self.image, *question, *answer]:
            raise SystemExit(f"{folder}: a prompt's ids are not those of its parts")

    def turn(self, question, answer):
        encode = lambda text: self.tokenizer.encode(text, add_special_tokens=False).ids
        return encode(f"\n{question} ASSISTANT:"), [*encode(f" {answer}"), self.eos]

    def turns(self, questions, lessons=()):
        """questions: of a scene; lessons: further (question, answer)."""
        pairs = [*((q["question"], str(q["answer"])) for q in questions), *lessons]
        return [self.turn(*pair) for pair in pairs]


def pack(visual, turns, before, embed):
    """
    One sequence a picture: what comes before the picture, its tokens, and every question with its answer. Questions see the
    picture and themselves only and begin at the same position, so each is computed as if it were asked alone.
    visual: of each picture [n, D]; turns: of each picture [(question ids, answer ids)]; embed: ids -> [.., D]
    -> inputs [B, T, D], mask [B, 1, T, T] (0 or -inf), positions [B, T], labels [B, T] (-100: not asked), owner [B, T] (turn)
    """
    lengths = [len(before) + len(v) + sum(len(q) + len(a) for q, a in t) for v, t in zip(visual, turns)]
    longest, count = max(lengths), len(visual)
    ids = torch.zeros(count, longest, dtype=torch.long)
    labels = torch.full((count, longest), -100)
    positions = torch.zeros(count, longest, dtype=torch.long)
    owner = torch.full((count, longest), -1)  # -1: padding, 0: shared, k: the k-th turn
    for row, (own, asked) in enumerate(zip(visual, turns)):
        shared = at = len(before) + len(own)
        ids[row, : len(before)] = torch.tensor(before)
        positions[row, :shared] = torch.arange(shared)
        owner[row, :shared] = 0
        for k, (question, answer) in enumerate(asked, 1):
            end = at + len(question) + len(answer)
            ids[row, at:end] = torch.tensor(question + answer)
            labels[row, at + len(question) : end] = torch.tensor(answer)
            positions[row, at:end] = torch.arange(shared, shared + end - at)
            owner[row, at:end] = k
            at = end
    inputs = embed(ids)
    picture = torch.nn.utils.rnn.pad_sequence(list(visual), batch_first=True)
    wide = torch.nn.functional.pad(picture, (0, 0, len(before), longest - len(before) - picture.shape[1]))
    place = torch.arange(longest)
    is_visual = torch.stack([(place >= len(before)) & (place < len(before) + len(v)) for v in visual])
    inputs = torch.where(is_visual[..., None], wide, inputs)
    past = place[:, None] >= place[None]
    seen = (owner[:, None, :] == 0) | (owner[:, None, :] == owner[:, :, None])  # [B, T, T]
    mask = torch.zeros(count, 1, longest, longest).masked_fill(~(past & seen)[:, None], torch.finfo(torch.float32).min)
    return inputs, mask, positions, labels, owner
