"""What every stage shares: arguments, seeds, schedules, logs, resumable checkpoints, folders in Hugging Face layout."""

import argparse
import copy
import json
import math
import os
import random
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
IMAGE_SIZE = 96
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def arguments(stage, description, *, steps, batch, lr, warmup=200):
    """The options that every training stage has; a stage adds its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE / "data", help="folder with the splits train, validation and test")
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="folder of all stages' outputs")
    parser.add_argument("--name", default=stage, help="this run's folder within --runs")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--warmup", type=int, default=warmup)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint, if there is one")
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--eval-every", type=int, default=500, help="steps between validations")
    parser.add_argument("--eval-scenes", type=int, default=256)
    parser.add_argument(
        "--precision", choices=("f32", "bf16"), default="bf16",
        help="of the networks' matrix products while training, where a stage has the choice: bf16 doubles their rate on "
        "processors with AVX-512 BF16, and is slower on others",
    )
    parser.add_argument("--stop-after-minutes", type=float, help="save and leave; --resume goes on")
    return parser


def seed_everything(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


class Batches:
    """Indices of the batch of a step: a function of seed and step alone, so that resuming needs no state."""

    def __init__(self, count, batch, seed):
        self.count, self.batch, self.seed = count, min(batch, count), seed
        self.per_epoch = count // self.batch
        self.epoch, self.order = -1, None

    def at(self, step):
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.count)
        return self.order[place * self.batch : (place + 1) * self.batch]


def step_rng(seed, step):
    """Randomness of a step's augmentation and sampling, resumable as the batches are."""
    return np.random.default_rng([seed, step, 77])


def adamw(model, lr, weight_decay=0.05, slower=()):
    """AdamW; vectors (biases, norm gains) do not decay. `slower`: (substring of the name, factor of lr)."""
    groups = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = next((f for part, f in slower if part in name), 1.0)
        decay = weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "weight_decay": d, "factor": f} for (f, d), p in groups.items()], lr=lr, betas=(0.9, 0.98)
    )


class Optimizers:
    """Several optimizers as one."""

    def __init__(self, *parts):
        self.parts = parts

    @property
    def param_groups(self):
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none=True):
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def step(self):
        for part in self.parts:
            part.step()

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states):
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def muon(model, lr, weight_decay=0.05):
    """
    Muon (Jordan et al., 2024) for the matrices of transformer blocks (but not tables of relative positions), at AdamW's step length (Liu et al., 2025, "Muon is Scalable
    for LLM Training"), AdamW for all else.
    """
    is_matrix = lambda name, p: p.ndim == 2 and "layers." in name and "rel_pos" not in name
    matrices = [p for name, p in model.named_parameters() if is_matrix(name, p)]
    taken = set(map(id, matrices))
    rest = torch.nn.ParameterList(p for p in model.parameters() if id(p) not in taken)
    first = torch.optim.Muon([{"params": matrices, "factor": 1.0}], lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    return Optimizers(first, adamw(rest, lr, weight_decay))


def set_lr(optimizer, args, step):
    """Linear warm-up, then half a cosine down to 1%."""
    warm = min(1.0, (step + 1) / max(1, args.warmup))
    done = min(1.0, max(0, step - args.warmup) / max(1, args.steps - args.warmup))
    value = args.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
    for group in optimizer.param_groups:
        group["lr"] = value * group["factor"]
    return value


class Run:
    """A stage's folder: log.jsonl, checkpoint.pt (model, optimizer, step, RNG states) and what it exports."""

    def __init__(self, args, model, optimizer):
        self.args, self.model, self.optimizer = args, model, optimizer
        self.folder = args.runs / args.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = self.folder / "checkpoint.pt"
        self.step, self.best = 0, None
        self.sums, self.count = {}, 0
        self.started = self.printed = self.saved = time.monotonic()
        if args.resume and self.checkpoint.exists():
            self._load()
        else:
            (self.folder / "log.jsonl").write_text("")
            self.log(event="start", args={k: str(v) for k, v in vars(args).items()}, parameters=parameter_count(model))
        self.first_step = self.step
        print(f"{args.name}: {parameter_count(model):,} parameters, from step {self.step} to {args.steps}", flush=True)

    def steps(self):
        """Steps left to do; saves as time passes and at the end, and stops early when asked to."""
        while self.step < self.args.steps:
            yield self.step
            self.step += 1
            now = time.monotonic()
            if now - self.printed > 60 or self.step in (self.first_step + 10, self.args.steps):
                self._line(now)
            if now - self.saved > 60 * self.args.save_minutes:
                self.save()
            limit = self.args.stop_after_minutes
            if limit and now - self.started > 60 * limit:
                self.save()
                print(f"{self.args.name}: stopped at step {self.step}; --resume goes on", flush=True)
                raise SystemExit(0)
        self.save()

    def track(self, **values):
        """Scalars of a step; their means go to the log and the line a minute."""
        for name, value in values.items():
            value = value.item() if isinstance(value, torch.Tensor) else float(value)
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def log(self, **record):
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 1), **record}) + "\n")

    def report(self, **metrics):
        """Results of a validation."""
        self.log(event="validation", step=self.step, **metrics)
        text = "  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in metrics.items())
        print(f"{self.args.name} step {self.step} VALIDATION  {text}", flush=True)

    def due(self):
        return (self.step + 1) % self.args.eval_every == 0 or self.step + 1 == self.args.steps

    def save(self):
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "rng": {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()},
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)  # a stop while writing leaves the old one
        self.saved = time.monotonic()

    def _load(self):
        state = torch.load(self.checkpoint, weights_only=False)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        torch.set_rng_state(state["rng"]["torch"])
        np.random.set_state(state["rng"]["numpy"])
        random.setstate(state["rng"]["python"])
        self.log(event="resume", step=self.step)

    def _line(self, now):
        done = max(1, self.step - self.first_step)
        each = (now - self.started) / done
        means = {k: round(v / max(1, self.count), 5) for k, v in self.sums.items()}
        self.log(event="train", step=self.step, seconds_per_step=round(each, 4), **means)
        left = (self.args.steps - self.step) * each / 60
        text = "  ".join(f"{k} {v:.4f}" for k, v in means.items())
        print(f"{self.args.name} step {self.step}/{self.args.steps}  {text}  {each:.2f} s/step, {left:.0f} min left", flush=True)
        self.printed, self.sums, self.count = now, {}, 0


def optimise(loss, model, optimizer, clip=1.0):
    if not torch.isfinite(loss):
        raise SystemExit(f"the loss is {loss.item()}; resume from the last checkpoint with a smaller --lr")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], clip)
    optimizer.step()
    return norm


def half_precision(args, *models):
    """
    A context for forward passes in bf16 with f32 weights, or, with --precision f32, one that changes nothing. Models go to plain
    attention: the fused one is ten times slower in bf16 on processors.
    """
    if args.precision == "bf16":
        for model in models:
            model.set_attn_implementation("eager")
    return torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")


def parameter_count(model):
    return sum(p.numel() for p in model.parameters())


def normalised(images, mean, std):
    """uint8 [B, H, W, 3] -> f32 [B, 3, H, W], as the image processors do: /255, minus mean, by std."""
    pixels = torch.from_numpy(np.array(images, order="C")).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def save_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def save_half(model, folder, drop_tied=True):
    """config.json and model.safetensors in f16, under the names that transformers writes, buffers included."""
    half = copy.deepcopy(model).half()
    folder.mkdir(parents=True, exist_ok=True)
    half.config.architectures = [type(model).__name__]
    half.config.dtype = torch.float16
    half.config.save_pretrained(folder)
    # every name of a shared tensor, as the hub's files have them: save_pretrained drops those that its loader then misses
    # where the detector's heads are shared with its decoder
    skip = set(map(str, getattr(model, "all_tied_weights_keys", {}) or {})) if drop_tied else set()
    state = {name: tensor.clone().contiguous() for name, tensor in half.state_dict().items() if name not in skip}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def image_processor(kind, folder):
    """preprocessor_config.json for pictures of IMAGE_SIZE, which none of them resizes."""
    common = dict(do_resize=True, do_rescale=True, rescale_factor=1 / 255, do_normalize=True, do_convert_rgb=True)
    size = IMAGE_SIZE
    settings = {
        "clip": dict(
            image_processor_type="CLIPImageProcessor", resample=3, do_center_crop=True,
            size={"shortest_edge": size}, crop_size={"height": size, "width": size},
            image_mean=CLIP_MEAN, image_std=CLIP_STD,
        ),
        "detector": dict(
            image_processor_type="DeformableDetrImageProcessor", resample=2, format="coco_detection", do_pad=True,
            size={"shortest_edge": size, "longest_edge": 2 * size}, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD,
        ),
        "sam": dict(
            image_processor_type="SamImageProcessor", processor_class="SamProcessor", resample=2, do_pad=True,
            size={"longest_edge": size}, pad_size={"height": size, "width": size},
            image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD,
        ),
    }[kind]
    save_json(folder / "preprocessor_config.json", {**common, **settings})
