"""Boxes and masks as the product treats them: detections, their suppression, intersections."""

import numpy as np
import torch


def to_corners(boxes, size):
    """(cx, cy, w, h) of the unit square -> (x0, y0, x1, y1) in pixels. [..., 4]"""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], -1) * size


def to_unit(boxes, size):
    """(x0, y0, x1, y1) in pixels -> (cx, cy, w, h) of the unit square. [..., 4]"""
    low, high = boxes[..., :2] / size, boxes[..., 2:] / size
    return np.concatenate([(low + high) / 2, high - low], -1)


def box_iou(a, b):
    """[A, 4], [B, 4] -> [A, B]; 0 where both are empty."""
    area = lambda x: np.prod(np.maximum(0, x[:, 2:] - x[:, :2]), 1)
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.maximum(0, high - low), 2)
    either = area(a)[:, None] + area(b)[None] - both
    return np.where(either > 0, both / np.maximum(either, 1e-12), 0)


def mask_iou(a, b):
    """0 or 1 [A, H, W], [B, H, W] -> [A, B]; 0 where both are empty."""
    pixels = a.shape[1] * a.shape[2]
    a, b = a.reshape(-1, pixels).astype(np.float32), b.reshape(-1, pixels).astype(np.float32)
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1)[None] - both
    return np.where(either > 0, both / np.maximum(either, 1), 0)


def suppressed(boxes, most_iou):
    """Indices that stay when boxes, best first, drop those that overlap a kept one by more."""
    kept, iou = [], box_iou(boxes, boxes)
    for i in range(len(boxes)):
        if all(iou[k, i] <= most_iou for k in kept):
            kept.append(i)
    return kept


def objects_of(logits, unit_boxes, size, threshold, nms):
    """One picture's detections without regard to class. [Q, C], [Q, 4] -> boxes [n, 4], scores [n], best first."""
    scores = 1 / (1 + np.exp(-logits.max(1)))
    boxes = to_corners(unit_boxes, size).clip(0, size)
    order = np.argsort(-scores, kind="stable")
    order = [i for i in order if scores[i] > threshold and (boxes[i, 2:] > boxes[i, :2]).all()]
    order = [order[k] for k in suppressed(boxes[order], nms)] if order else order
    return boxes[order].reshape(-1, 4), scores[order]


def matched(iou, least):
    """Greedy one-to-one pairs, the largest intersection first. [A, B] -> [(a, b)]"""
    pairs, iou = [], iou.copy()
    while iou.size and iou.max() >= least:
        a, b = np.unravel_index(iou.argmax(), iou.shape)
        pairs.append((int(a), int(b)))
        iou[a], iou[:, b] = -1, -1
    return pairs


def dice_loss(probabilities, targets):
    """[..., H, W] -> [...]"""
    both = (probabilities * targets).sum((-1, -2))
    return 1 - (2 * both + 1) / (probabilities.sum((-1, -2)) + targets.sum((-1, -2)) + 1)


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    """Mean over the pixels. [..., H, W] -> [...]"""
    p = logits.sigmoid()
    cross = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    right = p * targets + (1 - p) * (1 - targets)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return (weight * cross * (1 - right) ** gamma).mean((-1, -2))
