"""Which visual tokens a budget keeps, and their pooling and scaling: the twin of the product's composer."""

import json
import math
from functools import cache

import numpy as np
import torch

from common import HERE

PATCH_GRID = 12  # patches a side of the vision tower


def read_settings(path=HERE / "mask_llava.json"):
    settings = json.loads(path.read_text())
    supported = {
        "object_tokens": ("mask_inversion", "mask_pool"), "projector": ("per_kind",), "vision_feature_layer": (-2,),
        "norm_scaling": ("patch_mean", "none"), "background": (True,), "projector_hidden_act": ("gelu",),
        "order": (["cls", "patches", "objects", "background"],),
    }
    for field, values in supported.items():
        if settings[field] not in values:
            raise SystemExit(f"{path}: {field} is {settings[field]!r}; these scripts know {values}")
    return settings


@cache
def pooling_matrix(layout, grid=PATCH_GRID):
    """Average pooling with the bins of adaptive pooling, a number of columns for each row of bins. [bins, grid²]"""
    rows = []
    for r, columns in enumerate(layout):
        top, bottom = r * grid // len(layout), -(-(r + 1) * grid // len(layout))
        for c in range(columns):
            left, right = c * grid // columns, -(-(c + 1) * grid // columns)
            cell = np.zeros((grid, grid), np.float32)
            cell[top:bottom, left:right] = 1 / ((bottom - top) * (right - left))
            rows.append(cell.reshape(-1))
    return torch.from_numpy(np.stack(rows)) if rows else torch.zeros(0, grid * grid)


@cache
def coarser_grids(rows, columns):
    """Grids nowhere finer: most tokens first, of equal ones the nearest in proportion."""
    grids = [(r, c) for r in range(1, rows + 1) for c in range(1, columns + 1)]
    skew = lambda g: abs(math.log((g[0] * columns) / (g[1] * rows)))
    return sorted(grids, key=lambda g: (-g[0] * g[1], skew(g), g[0]))


@cache
def ragged(count, rows, columns):
    """`count` bins in rows that differ by at most one."""
    fits = [r for r in range(1, rows + 1) if r <= count and -(-count // r) <= columns]
    best = min(fits, key=lambda r: (abs(math.log((count / r / r) * (rows / columns))), r), default=1)
    return tuple(count // best + (i < count % best) for i in range(best))


def plan(objects, grid, tokens=None, *, ranking=None, cls=True, patches=True, keep_objects=True, background=True):
    """
    objects: object tokens of the picture, the background last; ranking: the one to keep longest first (default: by score, as
    they are stored). tokens: the budget; None: all.
    -> cls, layout of pooled patches, sorted indices of object tokens
    """
    ranking = list(range(objects)) if ranking is None else list(ranking)
    ranked = [i for i in ranking if (background or i != objects - 1) and (keep_objects or i == objects - 1)]
    whole = (grid[1],) * grid[0] if patches else ()
    if tokens is None or tokens >= cls + sum(whole) + len(ranked):
        return cls, whole, sorted(ranked)
    rest = tokens - cls
    layout = ()
    if patches:
        fits = next(((r, c) for r, c in coarser_grids(*grid) if r * c <= rest <= r * c + len(ranked)), None)
        if fits:
            layout = (fits[1],) * fits[0]
        elif rest > len(ranked):
            layout = ragged(rest - len(ranked), *grid)
    return cls, layout, sorted(ranked[: rest - sum(layout)])


def scaled(cls, patches, objects, scaling):
    """[CLS] and object tokens at the mean norm of the picture's patch tokens. [1, D], [N, D], [M, E]"""
    if scaling == "none":
        return cls, objects
    norm = patches.norm(dim=1).mean()
    to_norm = lambda x: x * (norm / x.norm(dim=1, keepdim=True).clamp(min=1e-12))
    return to_norm(cls), to_norm(objects)


def random_plan(objects, grid, rng):
    """What training shows: all tokens half of the time, else fewer of any kind, so that every budget is a familiar sight."""
    if rng.random() < 0.5:
        return plan(objects, grid)
    ranking = rng.permutation(objects)
    way = rng.random()
    if way < 0.6:  # a budget, objects dropped at random, by score, or the background first
        most = 1 + grid[0] * grid[1] + objects
        tokens = int(rng.integers(max(4, most // 8), most + 1))
        return plan(objects, grid, tokens, ranking=ranking if rng.random() < 0.5 else None)
    if way < 0.85:  # a number of objects, all patches
        kept = sorted(ranking[: int(rng.integers(0, objects + 1))].tolist())
        return True, (grid[1],) * grid[0], kept
    # a kind missing, as in the ablations
    missing = ("cls", "patches", "keep_objects", "background")[int(rng.integers(4))]
    return plan(objects, grid, **{missing: False})
