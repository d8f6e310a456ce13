"""What every fixture script shares: seeded weights, drawn pictures, deterministic files."""

import json
import math
import os
import shutil
import zlib
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import nn

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True, warn_only=True)


def fresh_directory(name):
    """An empty folder test/fixtures/<name>."""
    directory = FIXTURES / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def generator(seed, name):
    """One generator a tensor, so that adding a tensor does not change the others."""
    return torch.Generator().manual_seed((seed * 1_000_003 + zlib.crc32(name.encode())) % (2**63))


NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d)


def randomize(model, seed, gains=None):
    """Fills every parameter so that activations keep their size from layer to layer and nothing is uniform.

    Matrices: normal with standard deviation gain / sqrt(fan in); the gain is 1, or what `gains` gives for the
    first key found in the name. Norm gains: 1 + 0.15 normal. Biases: 0.1 normal. Embeddings: 0.6 normal.
    """
    gains = gains or {}
    modules = dict(model.named_modules())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            owner = modules[name.rpartition(".")[0]]
            leaf = name.rpartition(".")[2]
            noise = torch.randn(parameter.shape, generator=generator(seed, name), dtype=torch.float32)
            gain = next((value for key, value in gains.items() if key in name), None)
            is_norm = isinstance(owner, NORMS) or "Norm" in type(owner).__name__
            if is_norm and leaf == "weight":
                value = 1 + 0.15 * noise
            elif leaf == "bias" or is_norm:
                value = (0.1 if gain is None else gain) * noise
            elif isinstance(owner, nn.Embedding) or parameter.ndim < 2:
                value = (0.6 if gain is None else gain) * noise
            else:
                fan_in = parameter.numel() / parameter.shape[0]
                value = (1.0 if gain is None else gain) * noise / math.sqrt(fan_in)
            parameter.copy_(value.to(parameter.dtype))
    return model.eval()


def capture(modules, run):
    """Runs `run()` and gives its result and {name: first output of the module}, for named modules."""
    seen, handles = {}, []
    for name, module in modules.items():

        def hook(_module, _args, output, name=name):
            seen[name] = (output[0] if isinstance(output, tuple) else output).detach()

        handles.append(module.register_forward_hook(hook))
    try:
        result = run()
    finally:
        for handle in handles:
            handle.remove()
    return result, seen


def save_tensors(path, tensors):
    """F32 for reals, I32 for integers and booleans as U8; sorted by name, so that files are reproducible."""
    out = {}
    for name in sorted(tensors):
        tensor = torch.as_tensor(tensors[name]).detach()
        if tensor.dtype == torch.bool:
            tensor = tensor.to(torch.uint8)
        elif tensor.is_floating_point():
            assert torch.isfinite(tensor).all() or name == "enc_outputs_coord_logits", f"{name} is not finite"
            tensor = tensor.to(torch.float32)
        elif tensor.dtype != torch.uint8:
            tensor = tensor.to(torch.int32)
        out[name] = tensor.contiguous().clone()
    save_file(out, str(path), metadata={"format": "pt"})
    os.chmod(path, 0o644)


def save_weights(path, state):
    """A checkpoint file; tensors keep their dtype."""
    tensors = {name: state[name].detach().contiguous().clone() for name in sorted(state)}
    save_file(tensors, str(path), metadata={"format": "pt"})
    os.chmod(path, 0o644)


def save_sharded(directory, state, shards):
    """model-0000k-of-0000n.safetensors and model.safetensors.index.json, tensors dealt out in order of size met."""
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    groups, filled = [{}], 0
    for name, tensor in state.items():
        if filled >= total * len(groups) / shards and len(groups) < shards:
            groups.append({})
        groups[-1][name] = tensor
        filled += tensor.numel() * tensor.element_size()
    weight_map = {}
    for number, group in enumerate(groups, 1):
        file = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        save_weights(directory / file, group)
        weight_map.update({name: file for name in group})
    save_json(
        directory / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))},
    )


def save_json(path, value):
    Path(path).write_text(readable(value) + "\n", encoding="utf-8")


def readable(value, depth=0):
    """JSON with one line for whatever fits one, so that lists of ids do not take a line a number."""
    flat = json.dumps(value, ensure_ascii=False)
    scalars = isinstance(value, list) and all(not isinstance(item, (list, dict)) for item in value)
    if not isinstance(value, (list, dict)) or scalars or (depth > 1 and len(flat) < 400):
        return flat
    pad, close = " " * (depth + 1), " " * depth
    if isinstance(value, list):
        rows = [pad + readable(item, depth + 1) for item in value]
        return "[\n" + ",\n".join(rows) + f"\n{close}]"
    rows = [f"{pad}{json.dumps(key, ensure_ascii=False)}: {readable(item, depth + 1)}" for key, item in value.items()]
    return "{\n" + ",\n".join(rows) + f"\n{close}}}"


def load_json(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def update_json(path, **changes):
    """Sets fields; a field set to ... is removed."""
    value = load_json(path)
    for key, change in changes.items():
        if change is ...:
            value.pop(key, None)
        else:
            value[key] = change
    save_json(path, value)


def draw(width, height, seed, shapes=7):
    """A picture of flat shapes over a gradient with some grain: edges, smooth parts and high frequencies."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([(x * a + y * b) % 256 for a, b in rng.uniform(0.5, 4, (3, 2))], -1)
    picture = Image.fromarray(base.astype(np.uint8), "RGB")
    pen = ImageDraw.Draw(picture)
    for index in range(shapes):
        x0, y0 = rng.uniform(0, 0.75, 2) * (width, height)
        x1, y1 = (x0, y0) + rng.uniform(0.15, 0.5, 2) * (width, height)
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        (pen.ellipse if index % 2 else pen.rectangle)((x0, y0, x1, y1), fill=color)
    noisy = np.asarray(picture).astype(np.int32) + rng.integers(-9, 10, (height, width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8), "RGB")


def margins(logits):
    """Top 1 minus top 2 in units of the row's standard deviation, for rows [..., V]."""
    top = logits.topk(2, dim=-1).values
    return (top[..., 0] - top[..., 1]) / logits.std(dim=-1)


def report(directory):
    size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    print(f"  {directory.name}: {size / 1024:.0f} KiB in {sum(1 for f in directory.rglob('*') if f.is_file())} files")
