"""Poor scenes in the layout of `mask-llava scenes`, to see that every stage runs. Not for training.

python3 smoke/mock_scenes.py DIR COUNT
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from dataset import encode_rle

COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 220), "yellow": (230, 210, 50)}
SHAPES = ["circle", "square", "triangle"]
SIZE = 96


def polygon(shape, x, y, r):
    if shape == "square":
        return [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
    if shape == "triangle":
        return [(x, y - r), (x + r, y + r), (x - r, y + r)]
    return [(x + r * np.cos(a), y + r * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 40)]


def scene(index, seed, folder):
    rng = np.random.default_rng([seed, index])
    image = Image.fromarray(rng.integers(90, 130, (SIZE, SIZE, 3)).astype(np.uint8))
    owner = Image.new("L", (SIZE, SIZE), 0)
    objects = []
    for k in range(rng.integers(1, 6)):
        size = ["small", "large"][rng.integers(2)]
        o = {"shape": SHAPES[rng.integers(3)], "colour": list(COLOURS)[rng.integers(4)], "size": size, "rotation": 0.0}
        r = 8 if size == "small" else 14
        x, y = rng.integers(r, SIZE - r, 2).tolist()
        points = polygon(o["shape"], x, y, r)
        ImageDraw.Draw(image).polygon(points, fill=COLOURS[o["colour"]])
        ImageDraw.Draw(owner).polygon(points, fill=k + 1)
        objects.append(o | {"full_box": [x - r, y - r, x + r, y + r], "area": r * r * 3})
    owner = np.asarray(owner)
    kept = []
    for k, o in enumerate(objects):
        mask = owner == k + 1
        if mask.sum() < 20:
            continue
        ys, xs = np.where(mask)
        o["box"] = [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
        o["mask"] = encode_rle(mask)
        o["visible_fraction"] = min(1.0, float(mask.sum() / o.pop("area")))
        kept.append(o)
    image.save(folder / "images" / f"{index:06d}.jpg", quality=85)
    caption = ", ".join(f"a {o['size']} {o['colour']} {o['shape']}" for o in kept) + "."
    first = kept[0]
    questions = [
        ("existence", f"Is there a {first['colour']} {first['shape']}?", "yes"),
        ("count", "How many objects are there?", str(len(kept))),
        ("colour", f"What colour is the {first['size']} {first['shape']}?", first["colour"]),
        ("description", "Describe the picture.", caption),
    ]
    return {
        "id": f"{index:06d}", "image": f"images/{index:06d}.jpg", "width": SIZE, "height": SIZE, "seed": f"{seed:032x}", "objects": kept,
        "caption": caption,
        "questions": [
            {"id": f"{index}-{i}", "kind": k, "question": q, "answer": a} for i, (k, q, a) in enumerate(questions)
        ],
    }


def main():
    root, count = Path(sys.argv[1]), int(sys.argv[2])
    for seed, split in enumerate(["train", "validation", "test"]):
        folder = root / split
        (folder / "images").mkdir(parents=True, exist_ok=True)
        scenes = [scene(i, seed, folder) for i in range(count)]
        (folder / "annotations.jsonl").write_text("".join(json.dumps(s) + "\n" for s in scenes))
        (folder / "dataset.json").write_text(json.dumps({"split": split, "count": count, "seed": seed}) + "\n")


if __name__ == "__main__":
    main()
