"""Stage 3: DeformableDetrForObjectDetection, one class ("object"), two-stage with box refinement, from scratch.

transformers freezes the backbone's batch norms, which from scratch leaves it without normalisation. Here they are ordinary
BatchNorm2d while training (their weights have the same names), first alone under a dense pretext (how much of each cell is
object, and the box of the object there), then under the detector; in the last quarter their statistics are frozen and only
their gains and biases go on, so that what is exported is what was trained.
"""

import numpy as np
import torch
from torch import nn
from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection, ResNetConfig
from transformers.loss.loss_deformable_detr import DeformableDetrHungarianMatcher, DeformableDetrImageLoss
from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrFrozenBatchNorm2d

from boxes import box_iou, matched, objects_of, to_unit
from common import (
    IMAGE_SIZE, IMAGENET_MEAN, IMAGENET_STD, Batches, Run, adamw, arguments, image_processor, normalised, optimise,
    save_half, seed_everything, set_lr, step_rng,
)
from dataset import Split, flipped

FROZEN_FROM = 0.75  # share of the steps


def make_config(args):
    stages = ["stage1", "stage2", "stage3"] if args.fine else ["stage2", "stage3"]
    backbone = ResNetConfig(
        embedding_size=24, hidden_sizes=[32, 64, 96], depths=[1, 2, 2], layer_type="basic", hidden_act="relu",
        out_features=stages,
    )
    return DeformableDetrConfig(
        backbone_config=backbone.to_dict(), num_feature_levels=len(stages) + 1, d_model=64, encoder_layers=2,
        decoder_layers=3, encoder_ffn_dim=192, decoder_ffn_dim=192, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_n_points=4, decoder_n_points=4, num_queries=args.queries, two_stage=True, with_box_refine=True,
        two_stage_num_proposals=args.queries, auxiliary_loss=True, dropout=0.0, attention_dropout=0.0,
        activation_dropout=0.0, class_cost=2, bbox_cost=5, giou_cost=2, id2label={0: "object"},
        label2id={"object": 0}, tie_word_embeddings=False, disable_custom_kernels=True,
    )


def thaw(module):
    """Frozen batch norms become ordinary ones of the same names; everything trains."""
    for name, child in module.named_children():
        if isinstance(child, DeformableDetrFrozenBatchNorm2d):
            setattr(module, name, nn.BatchNorm2d(child.weight.numel(), eps=1e-5))
        else:
            thaw(child)
    for parameter in module.parameters():
        parameter.requires_grad_(True)


class Trainee(nn.Module):
    """The detector, and the pretext's heads, which are not exported."""

    def __init__(self, config):
        super().__init__()
        self.detector = DeformableDetrForObjectDetection(config)
        thaw(self.detector)
        backbone = self.detector.model.backbone
        for module in backbone.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for head in self.detector.class_embed:
            nn.init.constant_(head.bias, -4.6)  # a prior of 1%, as focal loss wants it
        for head in self.detector.bbox_embed:
            nn.init.zeros_(head.layers[-1].weight)
            nn.init.zeros_(head.layers[-1].bias)
        self.pretext = nn.ModuleList(nn.Conv2d(c, 5, 1) for c in backbone.intermediate_channel_sizes)

    def freeze_statistics(self, frozen):
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(not frozen)

    def pretext_loss(self, pixels, boxes, masks):
        """Coverage of cells by objects, and the box (as distances from the cell) of the object that covers most of it."""
        total = 0.0
        for head, features in zip(self.pretext, self.detector.model.backbone.model(pixels).feature_maps):
            out = head(features)  # [B, 5, g, g]
            grid = out.shape[-1]
            cell = IMAGE_SIZE // grid
            at = (torch.arange(grid) + 0.5) * cell
            for row, own_boxes, own_masks in zip(out, boxes, masks):
                shares = torch.from_numpy(own_masks).float().unfold(1, cell, cell).unfold(2, cell, cell).mean((3, 4))
                most, which = shares.max(0)  # [g, g]
                target = torch.from_numpy(own_boxes)[which]  # [g, g, 4]
                sides = torch.stack([at[None] - target[..., 0], at[:, None] - target[..., 1],
                                     target[..., 2] - at[None], target[..., 3] - at[:, None]])  # [4, g, g]
                inside = (most >= 0.5).float()
                error = ((row[1:] - sides / 16).abs().mean(0) * inside).sum() / inside.sum().clamp(min=1)
                total = total + nn.functional.binary_cross_entropy_with_logits(row[0], shares.sum(0).clamp(max=1)) + error
        return total / (len(pixels) * len(self.pretext))

    def detection_loss(self, pixels, boxes):
        labels = [
            {"class_labels": torch.zeros(len(b), dtype=torch.long), "boxes": torch.from_numpy(to_unit(b, IMAGE_SIZE))}
            for b in boxes
        ]
        out = self.detector(pixel_values=pixels, labels=labels)
        return out.loss, self._proposal_loss(out, labels)

    def _proposal_loss(self, out, labels):
        """The first stage's own loss, which transformers 5 leaves out."""
        config = self.detector.config
        matcher = DeformableDetrHungarianMatcher(config.class_cost, config.bbox_cost, config.giou_cost)
        criterion = DeformableDetrImageLoss(matcher, 1, config.focal_alpha, ["labels", "boxes"])
        # proposals outside 0.01 to 0.99 are infinite: their boxes are the corner, which matches nothing
        boxes = out.enc_outputs_coord_logits.sigmoid()
        losses = criterion({"logits": out.enc_outputs_class, "pred_boxes": boxes}, labels)
        return losses["loss_ce"] + 5 * losses["loss_bbox"] + 2 * losses["loss_giou"]


def augmented(split, batch, rng):
    """Pictures (mirrored, turned upside down, brighter or darker), boxes and masks."""
    images, boxes, masks = split.images[batch], [split.boxes(i) for i in batch], [split.masks(i) for i in batch]
    if rng.random() < 0.5:
        images = flipped(images)[0]
        boxes, masks = zip(*(flipped(images[:1], b, m)[1:] for b, m in zip(boxes, masks)))
    if rng.random() < 0.5:  # upside down: mirror the transpose
        images = images[:, ::-1]
        boxes = [b[:, [0, 3, 2, 1]] * [1, -1, 1, -1] + [0, IMAGE_SIZE, 0, IMAGE_SIZE] for b in boxes]
        masks = [m[:, ::-1] for m in masks]
    gain = rng.uniform(0.85, 1.15, (len(images), 1, 1, 3))
    images = np.clip(images * gain, 0, 255).astype(np.uint8)
    return images, [np.ascontiguousarray(b, np.float32) for b in boxes], [np.ascontiguousarray(m) for m in masks]


@torch.no_grad()
def validate(model, split, batch_size, threshold=0.3, nms=0.7):
    was, found = model.training, np.zeros(4)
    model.eval()
    for at in range(0, len(split), batch_size):
        batch = range(at, min(at + batch_size, len(split)))
        out = model(pixel_values=normalised(split.images[batch.start : batch.stop], IMAGENET_MEAN, IMAGENET_STD))
        for i, logits, unit in zip(batch, out.logits.numpy(), out.pred_boxes.numpy()):
            truth = split.boxes(i)
            boxes, _ = objects_of(logits, unit, IMAGE_SIZE, threshold, nms)
            hits = len(matched(box_iou(boxes, truth), 0.5))
            strict = len(matched(box_iou(boxes, truth), 0.75))
            found += [hits, strict, len(truth), len(boxes) - hits]
    model.train(was)
    return dict(recall=found[0] / found[2], recall_75=found[1] / found[2], extra_boxes=found[3] / len(split))


def export(model, config, target):
    """A model of transformers' own class takes the batch norms' statistics as its frozen ones."""
    frozen = DeformableDetrForObjectDetection(config)
    frozen.load_state_dict(model.detector.state_dict())
    save_half(frozen, target, drop_tied=False)
    image_processor("detector", target)
    again = DeformableDetrForObjectDetection.from_pretrained(target, dtype=torch.float32)
    for (name, want), found in zip(frozen.state_dict().items(), again.state_dict().values(), strict=True):
        if not torch.equal(want.half(), found.half()):
            raise SystemExit(f"{target}: {name} is not read back as it was trained")
    return again


def main():
    parser = arguments("detector", __doc__, steps=6000, batch=24, lr=5e-4)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--fine", action="store_true", help="use stride 4 as well: better boxes, about three times the time")
    parser.add_argument("--pretext-steps", type=int, default=500, help="of --steps, at the start")
    args = parser.parse_args()
    seed_everything(args.seed)
    train, held_out = Split(args.data, "train"), Split(args.data, "validation", args.eval_scenes)
    config = make_config(args)
    model = Trainee(config).train()
    optimizer = adamw(model, args.lr, 1e-4, slower=[("sampling_offsets", 0.1), ("reference_points", 0.1)])
    run, batches = Run(args, model, optimizer), Batches(len(train), args.batch, args.seed)
    for step in run.steps():
        lr = set_lr(optimizer, args, step)
        model.freeze_statistics(step >= FROZEN_FROM * args.steps)
        images, boxes, masks = augmented(train, np.sort(batches.at(step)), step_rng(args.seed, step))
        pixels = normalised(images, IMAGENET_MEAN, IMAGENET_STD)
        if step < args.pretext_steps:
            loss = model.pretext_loss(pixels, boxes, masks)
            run.track(pretext=loss, lr=lr)
        else:
            detection, proposals = model.detection_loss(pixels, boxes)
            loss = detection + proposals
            run.track(detection=detection, proposals=proposals, lr=lr)
        optimise(loss, model, optimizer, clip=0.5)
        if run.due() and step >= args.pretext_steps:
            run.report(**validate(model.detector, held_out, args.batch))
    frozen = export(model, config, run.folder / "model")
    run.report(**{f"exported_{k}": v for k, v in validate(frozen.eval(), held_out, args.batch).items()})


if __name__ == "__main__":
    main()
