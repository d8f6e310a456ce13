"""Stage 6: the LLaMA decoder and the projector on composed tokens; with --baseline on all patch tokens, as LLaVA.

Answers of a scene, and its caption, are learnt in one packed sequence: other ones of its rounds of questions at every visit, and
more of the kinds that are learnt last. Half of the pictures show all their tokens
(oversampled, as the paper trains), the others fewer of any kind, so that tokens may be dropped when asking without retraining.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from common import HERE, Batches, Run, arguments, half_precision, muon, optimise, seed_everything, set_lr, step_rng
from composition import plan, random_plan, read_settings
from dataset import Split
from language_model import begin_with, export, load, make
from tokens import CAPTION_QUESTION, Speech, Tokens, places

# questions of a kind at a visit; relations, counts and comparisons need several objects found at once
ASKED = {
    "existence": 2, "colour": 1, "shape": 1, "size": 1, "count": 2, "relation": 4, "comparison": 2, "description": 1,
}
PLACES = 3  # objects whose place is asked at a visit


@torch.no_grad()
def right_answers(model, tokens, split, speech, scenes, choose, batch=16):
    """Whether greedy decoding gives each question's answer exactly. choose(tokens) -> composition. -> [(kind, id, bool)]"""
    was, out = model.training, []
    model.eval()
    for at in range(0, len(scenes), batch):
        group = scenes[at : at + batch]
        own = [tokens.at(i) for i in group]
        visual = [model.visual(t, choose(t)) for t in own]
        logits, targets, picture, turn = model.answers(visual, [speech.turns(split.scenes[i]["questions"]) for i in group], speech.before)
        hit = logits.argmax(1) == targets
        for row, i in enumerate(group):
            for k, q in enumerate(split.scenes[i]["questions"], 1):
                out.append((q["kind"], q["id"], bool(hit[(picture == row) & (turn == k)].all())))
    model.train(was)
    return out


def drawn_questions(scene, rng):
    """What is asked of a scene at a visit: some questions of each kind, in an order of their own."""
    left, drawn = dict(ASKED), []
    for k in rng.permutation(len(scene["questions"])):
        question = scene["questions"][k]
        if left[question["kind"]] > 0:
            left[question["kind"]] -= 1
            drawn.append(question)
    return drawn


def lessons(scene, rng):
    """What only training asks; the caption last."""
    return [*places(scene, PLACES, rng), (CAPTION_QUESTION, scene["caption"])]


def by_kind(found):
    """Accuracy of each kind of question, and of all."""
    kinds = sorted({kind for kind, *_ in found})
    table = {kind: float(np.mean([hit for k, _, hit in found if k == kind])) for kind in kinds}
    return {"accuracy": float(np.mean([hit for *_, hit in found])), **table}


def main():
    parser = arguments("language", __doc__, steps=12000, batch=12, lr=1.5e-3, warmup=200)
    parser.set_defaults(eval_every=1000)
    parser.add_argument("--baseline", action="store_true", help="all patch tokens; the run's name becomes `baseline`")
    parser.add_argument("--tokens", default="tokens", help="folder of composed tokens within --runs")
    parser.add_argument("--start", help="run whose decoder and projector are where this one begins; what differs in shape is new")
    parser.add_argument("--settings", type=Path, default=HERE / "mask_llava.json")
    parser.add_argument("--caption-weight", type=float, default=0.5, help="of a caption's words; other answers' have 1")
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--inner", type=int, default=448)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=4)
    args = parser.parse_args()
    if args.baseline and args.name == "language":
        args.name = "baseline"
    seed_everything(args.seed)
    settings = read_settings(args.settings)
    speech = Speech(args.runs / "tokenizer" / "language")
    tokens = {name: Tokens(args.runs / args.tokens / name, settings["object_tokens"]) for name in ("train", "validation")}
    splits = {name: Split(args.data, name, len(tokens[name])) for name in tokens}
    first = tokens["train"].at(0)
    model = make(args, speech, (first["patches"].shape[1], first["objects"].shape[1]), settings["norm_scaling"]).train()
    if args.start:
        begin_with(model, load(args.runs / args.start / "model", settings))
    optimizer, fast = muon(model, args.lr, 0.05), half_precision(args, model.language)
    run, batches = Run(args, model, optimizer), Batches(len(splits["train"]), args.batch, args.seed)
    grid = tuple(settings["patch_grid"])
    held_out = list(range(min(args.eval_scenes, len(splits["validation"]))))
    for step in run.steps():
        lr, rng = set_lr(optimizer, args, step), step_rng(args.seed, step)
        batch = batches.at(step).tolist()
        own = [tokens["train"].at(i) for i in batch]
        visual = [model.visual(t, random_plan(len(t["objects"]), grid, rng)) for t in own]
        scenes = [splits["train"].scenes[i] for i in batch]
        turns = [speech.turns(drawn_questions(scene, rng), lessons(scene, rng)) for scene in scenes]
        with fast:
            logits, targets, picture, turn = model.answers(visual, turns, speech.before)
        # a caption, the last turn, has more words than all answers together
        last = torch.tensor([len(asked) for asked in turns])[picture]
        weight = torch.where(turn == last, args.caption_weight, 1.0)
        loss = (F.cross_entropy(logits.float(), targets, reduction="none") * weight).sum() / weight.sum()
        optimise(loss, model, optimizer)
        run.track(loss=loss, right=(logits.argmax(1) == targets).float().mean(), lr=lr)
        if run.due():
            for budget in [None] if args.baseline else [None, 36, 12]:
                choose = lambda t: plan(len(t["objects"]), grid, budget)
                found = right_answers(model, tokens["validation"], splits["validation"], speech, held_out, choose)
                run.report(tokens=budget or "all", **by_kind(found))
    export(model, run.folder / "model", args.runs / "tokenizer" / "language")


if __name__ == "__main__":
    main()
