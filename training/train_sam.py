"""Stage 4: SamModel: a box, or a point, to the visible mask of the object (focal + dice; of three masks the best one learns, and
the IoU head learns how good each is).

Boxes are the annotated ones with the jitter of a detector; points are drawn from within the mask.
"""

import numpy as np
import torch
from torch.nn import functional as F
from transformers import SamConfig, SamModel

from boxes import dice_loss, focal_loss, mask_iou
from common import (
    IMAGE_SIZE, IMAGENET_MEAN, IMAGENET_STD, Batches, Run, arguments, half_precision, image_processor, muon, normalised,
    optimise, save_half, seed_everything, set_lr, step_rng,
)
from dataset import Split
from train_detector import augmented

PATCH = 8


def make_model(args):
    width = args.neck
    config = SamConfig(
        vision_config=dict(
            hidden_size=args.width, output_channels=width, num_hidden_layers=args.layers, num_attention_heads=4,
            image_size=IMAGE_SIZE, patch_size=PATCH, mlp_dim=3 * args.width, window_size=6, num_pos_feats=width // 2,
            global_attn_indexes=list(range(1, args.layers, 2)),
        ),
        prompt_encoder_config=dict(hidden_size=width, image_size=IMAGE_SIZE, patch_size=PATCH, mask_input_channels=8),
        mask_decoder_config=dict(
            hidden_size=width, mlp_dim=128, num_hidden_layers=2, num_attention_heads=4, iou_head_hidden_dim=width,
        ),
    )
    model = SamModel(config)
    # transformers draws the random Fourier features with a deviation of hidden_size / 2, SAM itself with 1: at twelve patches
    # a side the former leaves no neighbourhood
    with torch.no_grad():
        place = model.shared_image_embedding.positional_embedding
        place.copy_(torch.randn(place.shape))
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(place)
    return model


def prompts_of(boxes, masks, count, rng):
    """`count` objects of each picture with jittered boxes [B, P, 4], points [B, P, 1, 2] and masks f32 [B, P, H, W]."""
    all_boxes, all_points, all_masks = [], [], []
    for own, own_masks in zip(boxes, masks):
        pick = rng.permutation(np.resize(rng.permutation(len(own)), count))
        sides = np.tile(own[pick, 2:] - own[pick, :2], 2)
        noise = np.clip(rng.normal(0, 0.04, sides.shape) * sides, -4, 4)
        all_boxes.append(np.clip(own[pick] + noise, 0, IMAGE_SIZE))
        all_masks.append(own_masks[pick])
        points = []
        for k in pick:
            ys, xs = np.nonzero(own_masks[k])
            j = rng.integers(len(ys))
            points.append([[xs[j], ys[j]]])
        all_points.append(points)
    tensor = lambda x: torch.from_numpy(np.asarray(x, np.float32))
    return tensor(all_boxes), tensor(all_points), tensor(all_masks)


def full_size(masks):
    """Low-resolution logits [B, P, M, m, m] -> [B, P, M, H, W], as the processor does it."""
    count = masks.shape[:3]
    return F.interpolate(masks.flatten(0, 1), (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False).view(
        *count, IMAGE_SIZE, IMAGE_SIZE
    )


def mask_loss(pred_masks, iou_scores, target):
    """[B, P, M, m, m], [B, P, M], [B, P, H, W] -> the loss, and the mean IoU of the best masks"""
    logits = full_size(pred_masks)  # [B, P, M, H, W]
    target = target[:, :, None].expand_as(logits)
    each = 20 * focal_loss(logits, target) + dice_loss(logits.sigmoid(), target)  # [B, P, M]
    with torch.no_grad():
        guess = logits > 0
        true = target > 0.5
        iou = (guess & true).sum((-1, -2)) / (guess | true).sum((-1, -2)).clamp(min=1)  # [B, P, M]
    score = F.mse_loss(iou_scores, iou)
    # a little for the others, so that none dies
    return 0.95 * each.min(-1).values.mean() + 0.05 * each.mean() + score, iou.max(-1).values.mean()


@torch.no_grad()
def validate(model, split, by_points):
    """Mean IoU of the mask that the model itself holds best, for annotated boxes or points."""
    model.eval()
    found = []
    for i in range(len(split)):
        pixels = normalised(split.images[i : i + 1], IMAGENET_MEAN, IMAGENET_STD)
        masks = split.masks(i)
        if by_points:  # the middle one of a mask's pixels, in rows
            points = [[np.argwhere(m)[m.sum() // 2][::-1].tolist()] for m in masks]
            prompt = dict(input_points=torch.tensor([points], dtype=torch.float32))  # [1, P, 1, 2]
        else:
            prompt = dict(input_boxes=torch.from_numpy(split.boxes(i))[None])  # [1, P, 4]
        guess = best_masks(model(pixel_values=pixels, **prompt))[0]
        found += np.diagonal(mask_iou(guess, masks)).tolist()
    model.train()
    return float(np.mean(found))


def best_masks(out):
    """The best mask of each prompt. bool [B, P, H, W]"""
    best = out.iou_scores.argmax(-1)[..., None, None, None]  # [B, P, 1, 1, 1]
    low = out.pred_masks.gather(2, best.expand(-1, -1, 1, *out.pred_masks.shape[-2:]))
    return (full_size(low)[:, :, 0] > 0).numpy()


def main():
    parser = arguments("sam", __doc__, steps=10800, batch=16, lr=8e-4)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--neck", type=int, default=64)
    parser.add_argument("--prompts", type=int, default=6, help="prompts a picture and step")
    args = parser.parse_args()
    seed_everything(args.seed)
    train, held_out = Split(args.data, "train"), Split(args.data, "validation", args.eval_scenes)
    model = make_model(args).train()
    optimizer, fast = muon(model, args.lr, 0.02), half_precision(args, model)
    run, batches = Run(args, model, optimizer), Batches(len(train), args.batch, args.seed)
    for step in run.steps():
        lr, rng = set_lr(optimizer, args, step), step_rng(args.seed, step)
        images, boxes, masks = augmented(train, np.sort(batches.at(step)), rng)
        boxes, points, target = prompts_of(boxes, masks, args.prompts, rng)
        way = rng.random()
        prompt = dict(input_points=points) if way < 0.25 else dict(input_boxes=boxes)
        # the single-mask output is a token of its own, and learns from a few steps
        with fast:
            out = model(pixel_values=normalised(images, IMAGENET_MEAN, IMAGENET_STD), multimask_output=way < 0.95, **prompt)
        loss, iou = mask_loss(out.pred_masks.float(), out.iou_scores.float(), target)
        optimise(loss, model, optimizer)
        run.track(loss=loss, best_iou=iou, lr=lr)
        if run.due():
            found = [validate(model, held_out, by_points) for by_points in (False, True)]
            run.report(iou_from_boxes=found[0], iou_from_points=found[1])
    save_half(model, run.folder / "model")
    image_processor("sam", run.folder / "model")


if __name__ == "__main__":
    main()
