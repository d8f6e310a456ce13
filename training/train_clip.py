"""Stage 2: CLIPModel, contrastive on pictures and captions, with negatives that differ in one attribute.

Beside the usual loss there is one on regions: the tokens of the last block, averaged under an object's mask and taken through
CLIP's own post norm and projection, against the phrases of all things ("a small red star"). Captions alone teach colours soon and
shapes hardly. Heads that are not exported tell attributes apart and find objects' pixels, edges and boxes on the way (Trainee).
"""

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from captions import phrase, positive_and_negatives, things_of
from common import (
    CLIP_MEAN, CLIP_STD, IMAGE_SIZE, Batches, Run, arguments, half_precision, image_processor, muon, normalised, optimise,
    save_half, seed_everything, set_lr, step_rng,
)
from dataset import Split, flipped

PATCH = 8
REGION_SCALE = 30  # of cosines between regions and phrases: CLIP's learnt one stays at half of it for long
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


@torch.no_grad()
def start_local(vision):
    """
    Lets the vision tower begin as one that looks at neighbours: sines and cosines of rows and columns as position embedding, as
    strong as the patches (transformers' own is a fourteenth of them), and queries like keys, so that what is alike in place and
    content attends to each other (after "Mimetic Initialization of Self-Attention Layers", Trockman and Kolter, 2023).
    """
    places = vision.embeddings.position_embedding.weight  # [1 + N, D]
    quarter = places.shape[1] // 4
    rate = 1 / 40 ** (torch.arange(quarter) / quarter)
    turn = torch.arange(GRID)[:, None] * rate  # [g, D / 4]
    axis = torch.cat([turn.sin(), turn.cos()], 1)  # [g, D / 2]
    rows, columns = axis[:, None].expand(GRID, GRID, -1), axis[None].expand(GRID, GRID, -1)
    places[1:] = 0.4 * torch.cat([rows, columns], 2).view(GRID * GRID, -1)
    for layer in vision.encoder.layers:
        attention = layer.self_attn
        for head in attention.q_proj.weight.split(attention.head_dim):
            torch.nn.init.orthogonal_(head)
        attention.k_proj.weight.copy_(attention.q_proj.weight)


@torch.no_grad()
def start_whitened(vision, images, rng):
    """
    Patches come in as their principal components, all equally strong (after "An Analysis of Single-Layer Networks in
    Unsupervised Feature Learning", Coates et al., 2011). As they are, their mean colour outweighs every edge, and the tower learns
    colours long before shapes.
    """
    kernel = vision.embeddings.patch_embedding.weight  # [D, 3, P, P]
    some = normalised(images[np.sort(rng.choice(len(images), min(len(images), 500), replace=False))], CLIP_MEAN, CLIP_STD)
    patches = F.unfold(some, PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1)  # [500 N, 3 P P]
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    width = len(kernel)
    strongest = vectors[:, -width:] * (values[-width:] + 1e-3 * values[-1]).rsqrt()
    turned = torch.nn.init.orthogonal_(torch.empty(width, strongest.shape[1])) @ strongest.T  # no component has a channel of its own
    kernel.copy_(0.3 * turned.view_as(kernel))


class Pretext(torch.nn.Module):
    """
    What a token of the middle block is to tell of its patch: the pixels that are object, those at which one object ends, and the
    box of the object that covers most of it. Linear heads that are not exported; without them the tower looks for shapes in vain
    until it has found out what an object is.
    """

    def __init__(self, width):
        super().__init__()
        self.pixels = torch.nn.Linear(width, 2 * PATCH * PATCH)
        self.box = torch.nn.Linear(width, 4)

    def forward(self, tokens, boxes, masks):
        """[B, N, D], of each picture [n, 4] and uint8 [n, H, W] -> the loss"""
        owner = torch.from_numpy(np.stack([(m * np.arange(1, len(m) + 1)[:, None, None]).sum(0) for m in masks]))  # [B, H, W]
        edge = torch.zeros_like(owner, dtype=torch.float32)
        edge[:, :, 1:] += owner[:, :, 1:] != owner[:, :, :-1]
        edge[:, 1:] += owner[:, 1:] != owner[:, :-1]
        truth = torch.stack([(owner > 0).float(), edge.clamp(max=1)], 1)  # [B, 2, H, W]
        truth = F.unfold(truth, PATCH, stride=PATCH).transpose(1, 2)  # [B, N, 2 P P]
        loss = F.binary_cross_entropy_with_logits(self.pixels(tokens), truth)
        at = (torch.arange(GRID * GRID) % GRID, torch.arange(GRID * GRID) // GRID)
        x, y = ((v + 0.5) * PATCH for v in at)
        guess = self.box(tokens)  # [B, N, 4]: distances of the sides from the patch's middle, in 16 pixels
        for row, own_boxes, own_masks in zip(guess, boxes, masks):
            most, which = torch.from_numpy(patch_shares(own_masks)).max(0)  # [N]
            sides = torch.from_numpy(own_boxes)[which]
            target = torch.stack([x - sides[:, 0], y - sides[:, 1], sides[:, 2] - x, sides[:, 3] - y], 1) / 16
            inside = (most >= 0.3).float()
            loss = loss + ((row - target).abs().mean(1) * inside).sum() / inside.sum().clamp(min=1) / (4 * len(guess))
        return loss


class Trainee(torch.nn.Module):
    """CLIP, and heads that are not exported. `attributes` tells an object's size, colour and shape apart."""

    def __init__(self, clip, vocabulary):
        super().__init__()
        width = clip.config.vision_config.hidden_size
        self.clip, self.vocabulary = clip, vocabulary
        self.pretext = Pretext(width)
        self.attributes = torch.nn.ModuleList(torch.nn.Linear(width, len(values)) for values in vocabulary)

    def regions(self, tokens, masks, things, phrases, phrase_embeds):
        """
        Cross entropy of each object's region over the phrases of all things, and over the values of each attribute by a head of
        its own: while the tower knows no shapes, the texts of shapes have no reason to differ, and the other way round.
        -> both losses, and whether the phrase is right
        """
        clip = self.clip
        weights = torch.from_numpy(np.concatenate([patch_shares(own) for own in masks]))  # [M, N]
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
        owner = [place for place, own in enumerate(masks) for _ in own]
        pooled = clip.vision_model.post_layernorm(torch.einsum("mn,mnd->md", weights, tokens[owner]))  # [M, D]
        logits = REGION_SCALE * F.normalize(clip.visual_projection(pooled), dim=-1) @ phrase_embeds.T
        flat = [thing for own in things for thing in own]
        target = torch.tensor([phrases[thing] for thing in flat])
        apart = 0.0
        for k, (head, values) in enumerate(zip(self.attributes, self.vocabulary)):
            apart = apart + F.cross_entropy(head(pooled), torch.tensor([values.index(thing[k]) for thing in flat]))
        return F.cross_entropy(logits, target), apart, (logits.argmax(1) == target)


def embed_texts(model, tokenizer, texts):
    """[T, E], of length 1."""
    ids = [e.ids for e in tokenizer.encode_batch(list(texts))]
    longest, pad = max(map(len, ids)), model.config.text_config.pad_token_id
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    out = model.text_model(input_ids=ids).pooler_output  # the first end token pools; padding behind it is unseen (causal)
    return F.normalize(model.text_projection(out), dim=-1)


def embed_images(model, pixels):
    """[B, E] of length 1, and patch tokens of the last and of the middle block [B, N, D]."""
    out = model.vision_model(pixel_values=pixels, output_hidden_states=True)
    middle = out.hidden_states[len(out.hidden_states) // 2][:, 1:]
    return F.normalize(model.visual_projection(out.pooler_output), dim=-1), out.last_hidden_state[:, 1:], middle


def patch_shares(masks):
    """Share of each patch that a mask covers. uint8 [M, H, W] -> f32 [M, N]"""
    count = len(masks)
    return masks.reshape(count, GRID, PATCH, GRID, PATCH).mean((2, 4), dtype=np.float32).reshape(count, -1)


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
        images, tokens, _ = embed_images(model, normalised(split.images[batch], CLIP_MEAN, CLIP_STD))
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
    parser = arguments("clip", __doc__, steps=2400, batch=64, lr=1.5e-3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--joint", type=int, default=96, help="width of the joint space, which object tokens live in")
    parser.add_argument("--negatives", type=int, default=2, help="hard negatives a picture")
    parser.add_argument("--region-weight", type=float, default=1.0)
    parser.add_argument("--pretext-weight", type=float, default=2.0)
    args = parser.parse_args()
    seed_everything(args.seed)
    train, held_out = Split(args.data, "train"), Split(args.data, "validation", args.eval_scenes)
    folder = args.runs / "tokenizer" / "clip"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = [train.vocabulary(field) for field in ("size", "colour", "shape")]
    phrases = {t: i for i, t in enumerate((a, b, c) for a in vocabulary[0] for b in vocabulary[1] for c in vocabulary[2])}
    model = make_model(tokenizer, args)
    start_local(model.vision_model)
    start_whitened(model.vision_model, train.images, np.random.default_rng(args.seed))
    trainee = Trainee(model, vocabulary).train()
    optimizer, fast = muon(trainee, args.lr, 0.1), half_precision(args, model)
    run, batches = Run(args, trainee, optimizer), Batches(len(train), args.batch, args.seed)
    for step in run.steps():
        lr, rng, batch = set_lr(optimizer, args, step), step_rng(args.seed, step), np.sort(batches.at(step))
        texts, negatives = zip(*(positive_and_negatives(train.scenes[i], vocabulary, args.negatives, rng) for i in batch))
        mirror = rng.random() < 0.5  # captions say nothing of left and right, and all shapes may be mirrored
        images, boxes, masks = train.images[batch], [train.boxes(i) for i in batch], [train.masks(i) for i in batch]
        if mirror:
            images = flipped(images)[0]
            boxes, masks = zip(*(flipped(images[:1], b, m)[1:] for b, m in zip(boxes, masks)))
        scale = model.logit_scale.exp().clamp(max=100)
        with fast:
            embeds, tokens, middle = embed_images(model, normalised(images, CLIP_MEAN, CLIP_STD))
            said = embed_texts(model, tokenizer, [*texts, *(n for row in negatives for n in row)])
            told = embed_texts(model, tokenizer, map(phrase, phrases))
        embeds, tokens, said, told = embeds.float(), tokens.float(), said.float(), told.float()
        loss, match, hard = contrastive(embeds, said[: len(batch)], said[len(batch) :], scale)
        things = [things_of(train.scenes[i]) for i in batch]
        regions, attributes, right = trainee.regions(tokens, masks, things, phrases, told)
        pretext = trainee.pretext(middle.float(), boxes, masks)
        optimise(loss + args.region_weight * (regions + attributes) + args.pretext_weight * pretext, trainee, optimizer)
        run.track(
            loss=loss, match=match, hard=hard, region=regions, region_right=right.float().mean(), attributes=attributes,
            pretext=pretext, lr=lr,
        )
        if run.due():
            run.report(**validate(model, tokenizer, held_out, vocabulary, phrases, args))
    target = run.folder / "model"
    save_half(model, target)
    image_processor("clip", target)
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())


if __name__ == "__main__":
    main()
