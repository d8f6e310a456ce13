"""Stage 2: CLIPModel, contrastive on pictures and captions, with negatives that differ in one attribute.

Beside the usual loss there is one on regions: the tokens of the last block, averaged under an object's mask and taken through
CLIP's own post norm and projection, against the phrases of all things ("a small red star"). It teaches shape, which captions
alone teach very slowly (shared experience: colour long before shape), and adds no weights.
"""

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from captions import phrase, positive_and_negatives, things_of
from common import (
    CLIP_MEAN, CLIP_STD, IMAGE_SIZE, Batches, Run, adamw, arguments, half_precision, image_processor, normalised, optimise,
    save_half, seed_everything, set_lr, step_rng,
)
from dataset import Split, flipped

PATCH = 8
GRID = IMAGE_SIZE // PATCH


def make_model(tokenizer, args):
    vision = dict(
        hidden_size=args.width, intermediate_size=4 * args.width, num_hidden_layers=args.layers,
        num_attention_heads=args.heads, image_size=IMAGE_SIZE, patch_size=PATCH, hidden_act="quick_gelu",
        projection_dim=args.joint,
    )
    ends = {name: tokenizer.token_to_id(token) for name, token in
            {"bos_token_id": "<|startoftext|>", "eos_token_id": "<|endoftext|>", "pad_token_id": "<|endoftext|>"}.items()}
    text = dict(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=96, intermediate_size=384, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=96, hidden_act="quick_gelu", projection_dim=args.joint, **ends,
    )
    return CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=args.joint))


def embed_texts(model, tokenizer, texts):
    """[T, E], of length 1."""
    ids = [e.ids for e in tokenizer.encode_batch(list(texts))]
    longest, pad = max(map(len, ids)), model.config.text_config.pad_token_id
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    out = model.text_model(input_ids=ids).pooler_output  # the first end token pools; padding behind it is unseen (causal)
    return F.normalize(model.text_projection(out), dim=-1)


def embed_images(model, pixels):
    """[B, E] of length 1, and the last block's patch tokens [B, N, D]."""
    out = model.vision_model(pixel_values=pixels)
    return F.normalize(model.visual_projection(out.pooler_output), dim=-1), out.last_hidden_state[:, 1:]


def patch_shares(masks):
    """Share of each patch that a mask covers. uint8 [M, H, W] -> f32 [M, N]"""
    count = len(masks)
    return masks.reshape(count, GRID, PATCH, GRID, PATCH).mean((2, 4), dtype=np.float32).reshape(count, -1)


def region_loss(model, tokens, split, batch, mirror, phrases, phrase_embeds, scale):
    """Cross entropy of each object's region over the phrases of all things."""
    shares, owner, target = [], [], []
    for place, i in enumerate(batch):
        masks = split.masks(i)
        masks = masks[:, :, ::-1] if mirror else masks
        shares.append(patch_shares(masks))
        owner += [place] * len(masks)
        target += [phrases[thing] for thing in things_of(split.scenes[i])]
    weights = torch.from_numpy(np.concatenate(shares))  # [M, N]
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
    pooled = torch.einsum("mn,mnd->md", weights, tokens[owner])  # [M, D]
    embeds = F.normalize(model.visual_projection(model.vision_model.post_layernorm(pooled)), dim=-1)  # [M, E]
    logits = scale * embeds @ phrase_embeds.T
    target = torch.tensor(target)
    return F.cross_entropy(logits, target), (logits.argmax(1) == target)


def contrastive(images, texts, negatives, scale):
    """Pictures against all captions and all negatives; captions against pictures. Also: right within the batch, own negatives beaten."""
    count = len(images)
    own = scale * images @ texts.T  # [B, B]
    hard = torch.einsum("be,bke->bk", images, negatives.view(count, -1, images.shape[1])) * scale  # [B, K]
    target = torch.arange(count)
    # only a picture's own negatives: another's could be true of it
    loss = (F.cross_entropy(torch.cat([own, hard], 1), target) + F.cross_entropy(own.T, target)) / 2
    return loss, (own.argmax(1) == target).float().mean(), (own.diagonal()[:, None] > hard).float().mean()


@torch.no_grad()
def validate(model, tokenizer, split, vocabulary, phrases, args):
    model.eval()
    scale, found = model.logit_scale.exp(), []
    embeds = embed_texts(model, tokenizer, map(phrase, phrases))
    names = list(phrases)
    parts = np.zeros(3)
    for at in range(0, len(split) - len(split) % args.batch or len(split), args.batch):
        batch = np.arange(at, min(at + args.batch, len(split)))
        rng = step_rng(args.seed, 10**9 + at)
        texts, negatives = zip(*(positive_and_negatives(split.scenes[i], vocabulary, args.negatives, rng) for i in batch))
        images, tokens = embed_images(model, normalised(split.images[batch], CLIP_MEAN, CLIP_STD))
        flat = embed_texts(model, tokenizer, [n for row in negatives for n in row])
        loss, match, hard = contrastive(images, embed_texts(model, tokenizer, texts), flat, scale)
        shares, owner = [], []
        for place, i in enumerate(batch):
            shares.append(patch_shares(split.masks(i)))
            owner += [place] * len(shares[-1])
        weights = torch.from_numpy(np.concatenate(shares))
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
        pooled = model.vision_model.post_layernorm(torch.einsum("mn,mnd->md", weights, tokens[owner]))
        guess = (F.normalize(model.visual_projection(pooled), dim=-1) @ embeds.T).argmax(1).tolist()
        truth = [t for i in batch for t in things_of(split.scenes[i])]
        parts += [sum(names[g][f] == t[f] for g, t in zip(guess, truth)) / len(truth) for f in range(3)]
        found.append([loss.item(), match.item(), hard.item()])
    model.train()
    loss, match, hard = np.mean(found, 0).tolist()
    size, colour, shape = (parts / len(found)).tolist()
    return dict(loss=loss, match=match, hard=hard, region_size=size, region_colour=colour, region_shape=shape)


def main():
    parser = arguments("clip", __doc__, steps=4000, batch=64, lr=1e-3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--joint", type=int, default=96, help="width of the joint space, which object tokens live in")
    parser.add_argument("--negatives", type=int, default=2, help="hard negatives a picture")
    parser.add_argument("--region-weight", type=float, default=1.0)
    args = parser.parse_args()
    seed_everything(args.seed)
    train, held_out = Split(args.data, "train"), Split(args.data, "validation", args.eval_scenes)
    folder = args.runs / "tokenizer" / "clip"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = [train.vocabulary(field) for field in ("size", "colour", "shape")]
    phrases = {t: i for i, t in enumerate((a, b, c) for a in vocabulary[0] for b in vocabulary[1] for c in vocabulary[2])}
    model = make_model(tokenizer, args)
    optimizer, fast = adamw(model, args.lr, 0.1), half_precision(args, model)
    run, batches = Run(args, model, optimizer), Batches(len(train), args.batch, args.seed)
    for step in run.steps():
        lr, rng, batch = set_lr(optimizer, args, step), step_rng(args.seed, step), np.sort(batches.at(step))
        texts, negatives = zip(*(positive_and_negatives(train.scenes[i], vocabulary, args.negatives, rng) for i in batch))
        mirror = rng.random() < 0.5  # captions say nothing of left and right, and all shapes may be mirrored
        images = train.images[batch]
        images = flipped(images)[0] if mirror else images
        scale = model.logit_scale.exp().clamp(max=100)
        with fast:
            embeds, tokens = embed_images(model, normalised(images, CLIP_MEAN, CLIP_STD))
            said = embed_texts(model, tokenizer, [*texts, *(n for row in negatives for n in row)])
            told = embed_texts(model, tokenizer, map(phrase, phrases))
        embeds, tokens, said, told = embeds.float(), tokens.float(), said.float(), told.float()
        loss, match, hard = contrastive(embeds, said[: len(batch)], said[len(batch) :], scale)
        regions, right = region_loss(model, tokens, train, batch, mirror, phrases, told, scale)
        optimise(loss + args.region_weight * regions, model, optimizer)
        run.track(loss=loss, match=match, hard=hard, region=regions, region_right=right.float().mean(), lr=lr)
        if run.due():
            run.report(**validate(model, tokenizer, held_out, vocabulary, phrases, args))
    target = run.folder / "model"
    save_half(model, target)
    image_processor("clip", target)
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())


if __name__ == "__main__":
    main()
