"""Scenes as `mask-llava scenes` writes them: DIR/<split>/{dataset.json, annotations.jsonl, images/*.jpg}."""

import json
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from common import IMAGE_SIZE


class DatasetError(Exception):
    """A data folder that is not as described: says the file, what was found, and what was expected."""


def decode_counts(text):
    """COCO's compressed run lengths: 6 bits a character from '0' on, 5 of them value, differences from the third on."""
    counts, i = [], 0
    while i < len(text):
        value, shift, more = 0, 0, True
        while more:
            c = ord(text[i]) - 48
            value |= (c & 31) << shift
            more = bool(c & 32)
            i += 1
            shift += 5
            if not more and c & 16:
                value |= -1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts


def decode_rle(rle):
    """{size: [height, width], counts: string or list}, runs down the columns, zeros first -> uint8 [height, width]."""
    height, width = rle["size"]
    counts = decode_counts(rle["counts"]) if isinstance(rle["counts"], str) else rle["counts"]
    if sum(counts) != height * width or min(counts) < 0:
        raise DatasetError(f"a mask's runs sum to {sum(counts)}; expected {height}x{width}={height * width}")
    values = np.arange(len(counts)) & 1
    return np.repeat(values, counts).astype(np.uint8).reshape(width, height).T


def encode_rle(mask):
    """The inverse of decode_rle, compressed."""
    flat = np.asarray(mask, np.uint8).T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    if flat[0]:
        counts = [0, *counts]
    text = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            c, value = value & 31, value >> 5
            done = (value == -1) if c & 16 else (value == 0)
            text.append(chr((c if done else c | 32) + 48))
            if done:
                break
    return {"size": list(mask.shape), "counts": "".join(text)}


class Split:
    """The scenes of a split. Pictures are decoded once into images.npy beside them, which processes share."""

    def __init__(self, root, name, limit=None):
        self.folder = Path(root) / name
        path = self.folder / "annotations.jsonl"
        if not path.exists():
            raise DatasetError(f"{path} is absent; write it with `mask-llava scenes` (README, step 0)")
        with open(path, encoding="utf-8") as file:
            self.scenes = [json.loads(line) for _, line in zip(range(limit or 10**9), file)]
        for scene in self.scenes:
            if (scene["width"], scene["height"]) != (IMAGE_SIZE, IMAGE_SIZE):
                found = f"{scene['width']}x{scene['height']}"
                raise DatasetError(f"{path}: scene {scene['id']} is {found}; these models are for {IMAGE_SIZE}x{IMAGE_SIZE}")

    def __len__(self):
        return len(self.scenes)

    @cached_property
    def images(self):
        """uint8 [N, H, W, 3]"""
        cache = self.folder / f"images-{len(self)}.npy"
        if not cache.exists():
            part = cache.with_suffix(".part.npy")
            shape = (len(self), IMAGE_SIZE, IMAGE_SIZE, 3)
            array = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            for i, scene in enumerate(self.scenes):
                array[i] = np.asarray(Image.open(self.folder / scene["image"]).convert("RGB"))
            array.flush()
            part.replace(cache)
        return np.load(cache, mmap_mode="r")

    def boxes(self, i):
        """Visible boxes (x0, y0, x1, y1) in pixels. f32 [objects, 4]"""
        return np.array([o["box"] for o in self.scenes[i]["objects"]], np.float32).reshape(-1, 4)

    def masks(self, i):
        """Visible masks. uint8 [objects, H, W]"""
        masks = [decode_rle(o["mask"]) for o in self.scenes[i]["objects"]]
        return np.stack(masks) if masks else np.zeros((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8)

    def vocabulary(self, field):
        """Values of an attribute of objects, sorted."""
        return sorted({str(o[field]) for scene in self.scenes for o in scene["objects"]})

    def texts(self):
        """Everything that is said about the scenes: captions, questions, answers."""
        for scene in self.scenes:
            yield scene["caption"]
            for q in scene["questions"]:
                yield q["question"]
                yield str(q["answer"])


def flipped(images, boxes=None, masks=None):
    """Mirrored left to right (for models that no left or right is asked of)."""
    images = images[:, :, ::-1]
    if boxes is not None:
        boxes = np.stack([IMAGE_SIZE - boxes[:, 2], boxes[:, 1], IMAGE_SIZE - boxes[:, 0], boxes[:, 3]], 1)
    return images, boxes, None if masks is None else masks[:, :, ::-1]
