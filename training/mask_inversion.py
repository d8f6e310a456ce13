"""MaskInversion (Bousselham et al. 2024, arXiv 2407.20034) on the last block of a CLIP tower, in closed form and in batches.

As the product computes it: the image runs once, the gradient of similarity by attention is linear in the embedding, so the map
[N, D, E] from embeddings to it is made once an image and serves all masks and steps. `python3 mask_inversion.py DIR` checks it
against the answers of the published implementation in a folder with case.json and expect-*.safetensors.
"""

import sys

import torch
from torch.nn import functional as F


def bilinear_matrix(source, target):
    """torch's bilinear interpolation along an axis. [target, source]"""
    eye = torch.eye(source)[None]
    return F.interpolate(eye, target, mode="linear", align_corners=False)[0].T


def activation_slope(x, name):
    if name == "quick_gelu":
        s = torch.sigmoid(1.702 * x)
        return s + 1.702 * x * s * (1 - s)
    if name == "gelu":
        return 0.5 * (1 + torch.erf(x / 2**0.5)) + x * torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5
    raise SystemExit(f"mask inversion: no slope of {name}; expected quick_gelu or gelu")


class ImageMaps:
    """What is needed of a batch of images. `embedding` [B, E]; `values` [B, H, N, d]; `maps` [B, E, N, D]."""

    def __init__(self, embedding, values, maps):
        self.embedding, self.values, self.maps = embedding, values, maps


def feature_jacobian(mean, norm, projection):
    """Derivative of f = L2norm(P LNpost(m)) by m. [B, D], LayerNorm, [E, D] -> [B, E, D]"""
    centred = mean - mean.mean(-1, keepdim=True)
    rate = (centred.pow(2).mean(-1, keepdim=True) + norm.eps).rsqrt()  # [B, 1]
    unit = centred * rate  # [B, D]
    gained = projection * norm.weight  # [E, D]
    by_norm = gained - gained.mean(-1, keepdim=True) - (unit @ gained.T)[..., None] * unit[:, None] / mean.shape[-1]
    feature = (unit * norm.weight + norm.bias) @ projection.T  # [B, E]
    length = feature.norm(dim=-1)[:, None, None]
    direction = feature[..., None] / length
    by_norm = by_norm * rate[..., None]
    return (by_norm - direction * (direction * by_norm).sum(1, keepdim=True)) / length


@torch.no_grad()
def linearise(model, states, projected=True):
    """
    model: CLIPModel; states [B, N, D]: what enters the last block (hidden state -2); projected: the joint space, else the tower's.
    """
    vision = model.vision_model
    block = vision.encoder.layers[-1]
    attention, mlp = block.self_attn, block.mlp
    count, tokens, width = states.shape
    heads = attention.num_heads
    split = lambda x: x.view(count, tokens, heads, -1).transpose(1, 2)  # [B, H, N, d]
    normed = block.layer_norm1(states)
    values = split(attention.v_proj(normed))
    mixed = F.scaled_dot_product_attention(split(attention.q_proj(normed)), split(attention.k_proj(normed)), values)
    y = states + attention.out_proj(mixed.transpose(1, 2).reshape(count, tokens, width))
    hidden = mlp.fc1(block.layer_norm2(y))  # [B, N, F]
    z = y + mlp.fc2(mlp.activation_fn(hidden))
    projection = model.visual_projection.weight if projected else torch.eye(width)  # [E, D]
    embedding = vision.post_layernorm(z[:, 0]) @ projection.T

    jacobian = feature_jacobian(z.mean(1), vision.post_layernorm, projection)  # [B, E, D]

    # back through the MLP at each token, LN2, the residual and the output projection, for every component of f: some components of
    # an image at a time, which stay in the cache
    slope = activation_slope(hidden, model.config.vision_config.hidden_act)  # [B, N, F]
    centred = y - y.mean(-1, keepdim=True)
    rate = (centred.pow(2).mean(-1, keepdim=True) + block.layer_norm2.eps).rsqrt()  # [B, N, 1]
    unit = centred * rate  # [B, N, D]
    maps = torch.empty(count, len(projection), tokens, width)  # d f / d o
    for i in range(count):
        for some in range(0, len(projection), 12):
            part = jacobian[i, some : some + 12]  # [e, D]
            back = (part @ mlp.fc2.weight)[:, None] * slope[i]  # [e, N, F]
            back = (back @ mlp.fc1.weight) * block.layer_norm2.weight  # [e, N, D]
            back = rate[i] * (back - back.mean(-1, keepdim=True) - unit[i] * (back * unit[i]).mean(-1, keepdim=True))
            maps[i, some : some + 12] = ((back + part[:, None]) @ attention.out_proj.weight) / tokens
    return ImageMaps(embedding, values, maps)


def patches_of(pixel, up):
    """What each patch has in a pixel. [M, 1], [S, g] -> [M, P]"""
    y, x = pixel[:, 0] // len(up), pixel[:, 0] % len(up)
    return (up[y][:, :, None] * up[x][:, None]).flatten(1)


@torch.no_grad()
def invert(images, index, masks, settings, patch):
    """
    index [M]: the image of each mask in `images`; masks f32 [M, h, w]; settings: those of mask_llava.json.
    Every mask is a problem of its own: the loss is the mean over an image's masks, which Adam's scale ignores but for epsilon,
    so the gradient is divided by their number as the reference does.
    -> embeddings [M, E], dice losses [M, steps], the first and last maps [M, h, w]
    """
    count, height, width = masks.shape
    tokens = images.values.shape[2]
    side = int((tokens - 1) ** 0.5)
    up = bilinear_matrix(side, side * patch)  # [S, g]: to the image's pixels, where min and max are taken
    rows, columns = bilinear_matrix(side * patch, height) @ up, bilinear_matrix(side * patch, width) @ up  # [h, g], [w, g]
    area = torch.outer(rows.sum(0), columns.sum(0)).reshape(-1)  # [P]
    inside = torch.einsum("hr,mhw,wc->mrc", rows, masks, columns).reshape(count, -1)  # [M, P]
    total = masks.sum((1, 2))
    share = 1.0 / torch.bincount(index)[index].float()[:, None]
    heads, width_head = images.values.shape[1], images.values.shape[3]
    values = images.values[index]  # [M, H, N, d]
    flat = images.maps.flatten(2)  # [B, E, N D]: read once a step for all of an image's masks
    place = torch.tensor([int((index[:i] == index[i]).sum()) for i in range(count)])  # among its image's masks
    side_by_side = lambda x: x.new_zeros(len(flat), int(place.max()) + 1, x.shape[1]).index_put((index, place), x)
    start = images.embedding[index]
    t, first, second = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    losses, seen = [], []
    for step in range(1, settings["iterations"] + 1):
        norm = t.norm(dim=1, keepdim=True)
        unit = t / norm
        by_output = torch.bmm(side_by_side(unit), flat)[index, place].view(count, tokens, heads, width_head).transpose(1, 2)  # [M, H, N, d]
        gradient = by_output @ values.transpose(-1, -2)  # [M, H, N, N]
        relevance = gradient.clamp(min=0).mean((1, 2))[:, 1:]  # [M, P]
        pixels = (up @ relevance.view(count, side, side) @ up.T).flatten(1)  # [M, S S]
        low, low_at = pixels.min(1, keepdim=True)
        high, high_at = pixels.max(1, keepdim=True)
        span = (high - low).clamp(min=1e-30)
        shown = (relevance - low) / span
        both, sum_map = (shown * inside).sum(1), (shown * area).sum(1)
        top, bottom = 2 * both + 1, sum_map + total + 1
        losses.append(1 - top / bottom)
        seen.append(shown)
        # dice by the shown map, then through min-max by the relevance
        by_shown = -(2 * inside / bottom[:, None] - (top / bottom**2)[:, None] * area)
        by_relevance = by_shown / span
        by_relevance -= (by_shown * shown).sum(1, keepdim=True) / span * patches_of(high_at, up)
        by_relevance -= (by_shown * (1 - shown)).sum(1, keepdim=True) / span * patches_of(low_at, up)
        weight = F.pad(by_relevance, (1, 0)) / (heads * tokens)  # [M, N]: the class token's column counts for nothing
        scored = (gradient > 0) * weight[:, None, None]  # [M, H, N, N]
        moved = (scored @ values).transpose(1, 2).reshape(count, -1)  # [M, N D]
        by_unit = torch.bmm(side_by_side(moved), flat.transpose(1, 2))[index, place]  # [M, E]
        g = share * (by_unit - unit * (by_unit * unit).sum(1, keepdim=True)) / norm
        if settings["alpha"]:
            s = F.normalize(start, dim=1)
            g = g + share * settings["alpha"] * -(s - unit * (s * unit).sum(1, keepdim=True)) / norm
        t = t * (1 - settings["learning_rate"] * settings["weight_decay"])
        first = 0.9 * first + 0.1 * g
        second = 0.999 * second + 0.001 * g * g
        t = t - settings["learning_rate"] * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    shown_at = lambda x: torch.einsum("hr,mrc,wc->mhw", rows, x.view(count, side, side), columns)
    return t, torch.stack(losses, 1), shown_at(seen[0]), shown_at(seen[-1])


def check(folder):
    """The published implementation's answers, for the runs on the last block alone."""
    import json
    from pathlib import Path

    from safetensors.torch import load_file
    from transformers import CLIPModel

    folder = Path(folder)
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    for run in json.loads((folder / "case.json").read_text())["runs"]:
        if run["layer_index"] != -1:
            continue
        want = load_file(folder / f"expect-{run['tag']}.safetensors")
        vision = model.vision_model
        with torch.no_grad():
            states = vision(pixel_values=want["pixel_values"], output_hidden_states=True, interpolate_pos_encoding=True)
        images = linearise(model, states.hidden_states[-2])
        masks = want["masks"].float()
        settings = dict(iterations=run["iterations"], alpha=run["alpha"], learning_rate=run["lr"], weight_decay=run["wd"])
        index = torch.zeros(len(masks), dtype=torch.long)
        found, losses, first, last = invert(images, index, masks / masks.max(), settings, model.config.vision_config.patch_size)
        error = lambda a, b: ((a - b).norm() / b.norm()).item()
        print(
            run["tag"], f"embedding {error(images.embedding, want['initial_embedding'][:1]):.1e}",
            f"losses {(losses.mean(0) - want['dice_losses']).abs().max():.1e}",
            f"embeddings {error(found, want['embeddings']):.1e}",
            f"maps {error(first, want['first_explainability_maps']):.1e} {error(last, want['explainability_maps']):.1e}",
        )


if __name__ == "__main__":
    check(sys.argv[1])
