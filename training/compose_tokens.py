"""Stage 5: the visual tokens of every scene, as the product computes them, into shards that the language stage reads.

CLIP's hidden state -2 ([CLS] and patches); detections above the threshold, without near duplicates; SAM's best mask of each; the
masks that are left and the background; MaskInversion's embedding of each. Networks are the exported ones (f16 weights).
Shards that are there already are skipped, so that a stopped run goes on; --part 0/2 and --part 1/2 share the work.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import CLIPModel, DeformableDetrForObjectDetection, SamModel

from boxes import mask_iou, matched, objects_of
from common import CLIP_MEAN, CLIP_STD, HERE, IMAGE_SIZE, IMAGENET_MEAN, IMAGENET_STD, normalised, seed_everything
from composition import read_settings
from dataset import Split
from mask_inversion import invert, linearise
from train_clip import PATCH, patch_shares
from train_sam import best_masks


class Pipeline:
    """The networks of the image side."""

    def __init__(self, runs, settings, objects=True):
        load = lambda kind, name: kind.from_pretrained(runs / name / "model", dtype=torch.float32).eval()
        self.settings = settings
        self.clip = load(CLIPModel, "clip")
        if objects:
            self.detector, self.segmenter = load(DeformableDetrForObjectDetection, "detector"), load(SamModel, "sam")

    @torch.no_grad()
    def states(self, images):
        """CLIP's hidden state -2: [CLS] and patches. [B, 1 + N, D]"""
        pixels = normalised(images, CLIP_MEAN, CLIP_STD)
        return self.clip.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]

    @torch.no_grad()
    def find(self, images):
        """uint8 [B, H, W, 3] -> of each picture: boxes [n, 4], scores [n], masks uint8 [n, H, W], best first, no background."""
        o = self.settings["objects"]
        pixels = normalised(images, IMAGENET_MEAN, IMAGENET_STD)
        out = self.detector(pixel_values=pixels)
        detected = [
            objects_of(logits, unit, IMAGE_SIZE, o["score_threshold"], o["box_nms"])
            for logits, unit in zip(out.logits.numpy(), out.pred_boxes.numpy())
        ]
        # one batch: pictures with fewer boxes ask about the whole picture beside, and drop the answer
        most = max(1, *(len(boxes) for boxes, _ in detected))
        prompts = np.tile(np.float32([0, 0, IMAGE_SIZE, IMAGE_SIZE]), (len(images), most, 1))
        for row, (boxes, _) in zip(prompts, detected):
            row[: len(boxes)] = boxes
        segmented = best_masks(self.segmenter(pixel_values=pixels, input_boxes=torch.from_numpy(prompts)))
        found = []
        for (boxes, scores), masks in zip(detected, segmented):
            masks = masks[: len(boxes)].astype(np.uint8)
            kept = self._distinct(masks)
            found.append((boxes[kept], scores[kept], masks[kept]))
        return found

    def _distinct(self, masks):
        o, kept = self.settings["objects"], []
        iou = mask_iou(masks, masks)
        for i, mask in enumerate(masks):
            area = mask.sum()
            big = area > 0 and area >= o["min_area"] * mask.size
            if len(kept) < self.settings["max_objects"] and big and all(iou[k, i] <= o["mask_nms"] for k in kept):
                kept.append(i)
        return kept

    @torch.no_grad()
    def tokens(self, images, masks):
        """
        masks: of each picture, objects and the background.
        -> cls [B, D], patches [B, N, D], objects [T, E], the same by mask pooling [T, D], dice [T, steps]
        """
        states = self.states(images)
        cls, patches = states[:, 0], states[:, 1:]
        index = torch.from_numpy(np.repeat(np.arange(len(masks)), [len(m) for m in masks]))
        flat = np.concatenate(masks)
        pooled = mask_pooled(patches, index, flat)
        if self.settings["object_tokens"] == "mask_pool":
            return cls, patches, pooled, pooled, torch.zeros(len(flat), 0)
        projected = self.settings["object_space"] == "projected"
        maps = linearise(self.clip, states, projected)
        objects, losses, *_ = invert(maps, index, torch.from_numpy(flat).float(), self.settings["mask_inversion"], PATCH)
        return cls, patches, objects, pooled, losses

    def compose(self, images):
        """All of it, for some pictures."""
        found = self.find(images)
        masks = []
        for _, _, own in found:
            background = 1 - own.max(0, initial=0)
            masks.append(np.concatenate([own, background[None]]).astype(np.uint8))
        return found, masks, *self.tokens(images, masks)


def mask_pooled(patches, index, masks):
    """Mean of the patch tokens under each mask. [B, N, D], [T], uint8 [T, H, W] -> [T, D]"""
    weights = torch.from_numpy(patch_shares(masks))  # [T, N]
    return torch.einsum("tn,tnd->td", weights / weights.sum(1, keepdim=True).clamp(min=1e-12), patches[index])


def shard_of(pipeline, split, scenes, batch):
    columns = {name: [] for name in ("cls", "patches", "objects", "pooled", "scores", "areas", "boxes", "truth", "counts", "dice")}
    for at in range(scenes.start, scenes.stop, batch):
        group = range(at, min(at + batch, scenes.stop))
        found, masks, cls, patches, objects, pooled, losses = pipeline.compose(split.images[group.start : group.stop])
        columns["cls"].append(cls.half())
        columns["patches"].append(patches.half())
        columns["objects"].append(objects.half())
        columns["pooled"].append(pooled.half())
        columns["dice"].append(losses[:, [0, -1]] if losses.shape[1] else torch.zeros(len(losses), 2))
        for i, (boxes, scores, _), own in zip(group, found, masks):
            whole = [[0, 0, IMAGE_SIZE, IMAGE_SIZE]]
            columns["boxes"].append(torch.from_numpy(np.concatenate([boxes.reshape(-1, 4), whole]).astype(np.float32)))
            columns["scores"].append(torch.tensor([*scores.tolist(), 0.0]))
            columns["areas"].append(torch.from_numpy(own.mean((1, 2)).astype(np.float32)))
            truth = np.full(len(own), -1)
            for a, b in matched(mask_iou(own[:-1], split.masks(i)), 0.5):
                truth[a] = b
            columns["truth"].append(torch.from_numpy(truth))
            columns["counts"].append(torch.tensor([len(own)]))
    return {name: torch.cat(parts).contiguous() for name, parts in columns.items()}


def shard_of_patches(pipeline, split, scenes, batch):
    """[CLS] and patches alone, which are all that the baseline is shown."""
    groups = [slice(at, min(at + batch, scenes.stop)) for at in range(scenes.start, scenes.stop, batch)]
    states = torch.cat([pipeline.states(split.images[group]).half() for group in groups])
    none = {name: torch.zeros(0) for name in ("scores", "areas", "truth", "boxes")}
    columns = {"cls": states[:, 0], "patches": states[:, 1:], "counts": torch.zeros(len(states), dtype=torch.long)}
    columns |= {"objects": torch.zeros(0, 1), "pooled": torch.zeros(0, 1), "dice": torch.zeros(1, 2)}
    return {name: x.contiguous() for name, x in {**columns, **none}.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE / "data")
    parser.add_argument("--runs", type=Path, default=HERE / "runs")
    parser.add_argument("--settings", type=Path, default=HERE / "mask_llava.json")
    parser.add_argument("--name", default="tokens", help="folder within --runs")
    parser.add_argument("--splits", nargs="+", default=["train", "validation", "test"])
    parser.add_argument("--limit", type=int, help="scenes of a split")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th shard from the k-th on")
    parser.add_argument("--patches-only", action="store_true", help="no objects: what the baseline needs, in a tenth of the time")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--shard", type=int, default=500, help="scenes a shard")
    args = parser.parse_args()
    seed_everything(1)
    part, parts = map(int, args.part.split("/"))
    pipeline = Pipeline(args.runs, read_settings(args.settings), objects=not args.patches_only)
    make = shard_of_patches if args.patches_only else shard_of
    for name in args.splits:
        split = Split(args.data, name, args.limit)
        folder = args.runs / args.name / name
        folder.mkdir(parents=True, exist_ok=True)
        for k, start in enumerate(range(0, len(split), args.shard)):
            path = folder / f"{start:06d}.safetensors"
            if k % parts != part or path.exists():
                continue
            began, scenes = time.monotonic(), range(start, min(start + args.shard, len(split)))
            shard = make(pipeline, split, scenes, args.batch)
            save_file(shard, path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
            each = (time.monotonic() - began) / len(scenes)
            first, last = shard["dice"].mean(0).tolist()
            print(
                f"{name} {scenes.stop}/{len(split)}: {len(shard['objects']) / len(scenes):.1f} object tokens a scene, dice "
                f"{first:.3f} -> {last:.3f}, {each:.2f} s a scene", flush=True,
            )


if __name__ == "__main__":
    main()
