"""Stage 8: what was trained, measured in PyTorch on held-out scenes, to compare with the product's own evaluation.

Answers by kind, budget, drop policy and missing kind of token; the baseline; linear probes on object tokens and on pooled
patches; detections and masks. Writes runs/evaluation-<split>.json.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from boxes import box_iou, mask_iou, matched
from common import HERE, save_json, seed_everything
from compose_tokens import Pipeline
from composition import plan, read_settings
from dataset import Split
from language_model import load
from tokens import Speech, Tokens
from train_clip import patch_shares
from train_language import by_kind, right_answers


def ranking(tokens, policy, rng):
    """Object tokens, the one to keep longest first; the background has no score."""
    scores, count = tokens["scores"].numpy().copy(), len(tokens["scores"])
    scores[-1] = -1
    by_score = np.argsort(-scores, kind="stable")
    if policy == "score":
        return by_score.tolist()
    if policy == "area":
        return np.argsort(-tokens["areas"].numpy(), kind="stable").tolist()
    if policy == "random":
        return rng.permutation(count).tolist()
    unit = F.normalize(tokens["objects"], dim=1).numpy()
    left, kept, nearest = by_score.tolist(), [], np.full(count, np.inf)
    while left:
        pick = max(left, key=lambda i: nearest[i])  # of equal ones the first
        kept.append(pick)
        left.remove(pick)
        nearest = np.minimum(nearest, 1 - unit @ unit[pick])
    return kept


def probe(features, labels, held_out, held_labels, steps=300):
    """Accuracy of a linear classifier on standardised features."""
    mean, std = features.mean(0), features.std(0) + 1e-6
    classes = {v: i for i, v in enumerate(sorted(set(labels)))}
    x, y = (features - mean) / std, torch.tensor([classes[v] for v in labels])
    layer = torch.nn.Linear(x.shape[1], len(classes))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.02, weight_decay=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(layer(x), y).backward()
        optimizer.step()
    guess = layer((held_out - mean) / std).argmax(1).tolist()
    return float(np.mean([g == classes.get(v, -1) for g, v in zip(guess, held_labels)]))


def probe_features(tokens, split, scenes):
    """Tokens of objects that match an annotated one: MaskInversion's, and the mean of the patches under the annotated mask."""
    inverted, pooled, labels = [], [], []
    for i in scenes:
        own = tokens.at(i)
        shares = torch.from_numpy(patch_shares(split.masks(i)))
        for row, k in enumerate(own["truth"].tolist()):
            if k >= 0:
                inverted.append(own["objects"][row])
                pooled.append(shares[k] @ own["patches"] / shares[k].sum().clamp(min=1e-6))
                labels.append(split.scenes[i]["objects"][k])
    return inverted, pooled, labels


def probes(tokens, splits, scenes):
    sides = [probe_features(tokens[name], splits[name], range(min(scenes, len(splits[name])))) for name in splits]
    if not all(side[0] for side in sides):
        return "no detected object matches an annotated one"
    return {
        f"{feature}_{field}": probe(
            torch.stack(sides[0][k]), [o[field] for o in sides[0][2]], torch.stack(sides[1][k]), [o[field] for o in sides[1][2]]
        )
        for k, feature in enumerate(("object_token", "mask_pool"))
        for field in ("colour", "shape", "size")
    }


def detection(pipeline, split, scenes):
    """Recall and extra boxes at IoU 0.5, and the mean IoU of the masks of matched boxes."""
    hits, truths, extra, ious = 0, 0, 0, []
    for i in range(scenes):
        boxes, _, masks = pipeline.find(split.images[i : i + 1])[0]
        pairs = matched(box_iou(boxes, split.boxes(i)), 0.5)
        iou = mask_iou(masks, split.masks(i))
        ious += [float(iou[a, b]) for a, b in pairs]
        hits, truths, extra = hits + len(pairs), truths + len(split.boxes(i)), extra + len(boxes) - len(pairs)
    return dict(recall=hits / truths, extra_boxes=extra / scenes, mask_iou=float(np.mean(ious)) if ious else 0.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE / "data")
    parser.add_argument("--runs", type=Path, default=HERE / "runs")
    parser.add_argument("--settings", type=Path, default=HERE / "mask_llava.json")
    parser.add_argument("--split", default="test")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--budgets", type=int, nargs="+", default=[8, 12, 16, 24, 36, 48])
    parser.add_argument("--probe-scenes", type=int, default=1000)
    args = parser.parse_args()
    seed_everything(1)
    settings, speech = read_settings(args.settings), Speech(args.runs / "tokenizer" / "language")
    tokens = {name: Tokens(args.runs / "tokens" / name, settings["object_tokens"]) for name in ("train", args.split)}
    splits = {name: Split(args.data, name, len(tokens[name])) for name in tokens}
    split, own, grid = splits[args.split], tokens[args.split], tuple(settings["patch_grid"])
    scenes = list(range(min(args.scenes, len(split))))
    report = {"scenes": len(scenes), "split": args.split}
    report["detection"] = detection(Pipeline(args.runs, settings), split, len(scenes))
    report["probes"] = probes(tokens, splits, args.probe_scenes)
    model = load(args.runs / "language" / "model", settings)

    def measure(name, choose, speaker=model):
        report[name] = by_kind(right_answers(speaker, own, split, speech, scenes, choose))
        print(name, {k: round(v, 4) for k, v in report[name].items()}, flush=True)

    print(report, flush=True)
    measure("all", lambda t: plan(len(t["objects"]), grid))
    for missing in ("cls", "patches", "keep_objects", "background"):
        measure(f"without_{missing.removeprefix('keep_')}", lambda t: plan(len(t["objects"]), grid, **{missing: False}))
    for policy in ("score", "area", "diverse", "random"):
        rng = np.random.default_rng(1)
        for budget in args.budgets:
            choose = lambda t: plan(len(t["objects"]), grid, budget, ranking=ranking(t, policy, rng))
            measure(f"{policy}_{budget}", choose)
    if (args.runs / "baseline" / "model").exists():
        measure("baseline", lambda t: None, load(args.runs / "baseline" / "model", settings))
    save_json(args.runs / f"evaluation-{args.split}.json", report)


if __name__ == "__main__":
    main()
