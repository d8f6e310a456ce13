"""Pictures of many kinds: Pillow's decoded bytes, its resampling, and the processors' resize and crop arithmetic."""

import struct
import zlib

import numpy as np
import torch
from common import draw, fresh_directory, report, save_json, save_tensors
from PIL import Image, ImageFile
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

FIXTURES = {"images": {}}

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR, "lanczos": Image.Resampling.LANCZOS}
# (width, height): up, down, one axis each way, odd, the same, down to one.
RESIZES = {
    "rgb.png": [(37, 29), (11, 7), (40, 9), (5, 31), (23, 17), (24, 17), (1, 1), (2, 3)],
    "photo.jpg": [(40, 31), (24, 24), (112, 75)],
    "row.png": [(20, 3), (90, 1), (7, 7)],
    "column.png": [(3, 20), (1, 40)],
    "pixel.png": [(4, 5)],
}
# name: file, processor settings. Crops larger than the picture are padded with zeros.
PROCESSORS = {
    "shortest-wide": ("rgb.png", dict(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})),
    "shortest-tall": ("exif6.jpg", dict(size={"shortest_edge": 15}, crop_size={"height": 15, "width": 15})),
    "shortest-down": ("photo.jpg", dict(size={"shortest_edge": 25}, crop_size={"height": 24, "width": 25})),
    "crop-larger": ("rgb.png", dict(size={"shortest_edge": 10}, crop_size={"height": 21, "width": 13})),
    "crop-odd": ("photo.jpg", dict(size={"shortest_edge": 22}, crop_size={"height": 17, "width": 20})),
    "exact": ("photo.jpg", dict(size={"height": 19, "width": 33}, do_center_crop=False)),
    "no-resize": ("photo.jpg", dict(do_resize=False, crop_size={"height": 30, "width": 41})),
    "row": ("row.png", dict(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})),
    "pixel": ("pixel.png", dict(size={"shortest_edge": 9}, crop_size={"height": 9, "width": 9})),
    "bilinear": ("rgb.png", dict(size={"shortest_edge": 12}, crop_size={"height": 12, "width": 12}, resample=2)),
}


def make(name):
    directory = fresh_directory(name)
    files = write_pictures(directory)
    tensors, kinds = {}, {}
    for file in files:
        picture = Image.open(directory / file)
        kinds[file] = {"width": picture.width, "height": picture.height, "mode": picture.mode, "format": picture.format}
        tensors[f"decode.{file}"] = as_bytes(picture.convert("RGB"))
    for file, sizes in RESIZES.items():
        picture = Image.open(directory / file).convert("RGB")
        for label, resample in FILTERS.items():
            for size in sizes:
                tensors[f"resize.{file}.{label}.{size[0]}x{size[1]}"] = as_bytes(picture.resize(size, resample))
    for case, (file, settings) in PROCESSORS.items():
        processor = CLIPImageProcessorPil(do_rescale=False, do_normalize=False, **settings)
        tensors[f"processor.{case}"] = processor(Image.open(directory / file), return_tensors="pt")["pixel_values"].to(torch.uint8)
    save_tensors(directory / "expect.safetensors", tensors)
    save_json(
        directory / "expect.json",
        {
            "files": kinds,
            "resize": {file: [list(size) for size in sizes] for file, sizes in RESIZES.items()},
            "processor": {case: {"file": file, **settings} for case, (file, settings) in PROCESSORS.items()},
        },
    )
    report(directory)


def as_bytes(picture):
    return torch.from_numpy(np.array(picture))


def write_pictures(directory):
    rng = np.random.default_rng(41)
    rgb = draw(23, 17, seed=41)
    photo = draw(56, 43, seed=42)
    grey = photo.convert("L").crop((0, 0, 31, 19))
    alpha = Image.fromarray(rng.integers(0, 256, (17, 23), dtype=np.uint8), "L")
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    deep = (np.asarray(grey).astype(np.uint16) * 257 + rng.integers(-120, 121, (19, 31))).clip(0, 65535).astype(np.uint16)
    palette = photo.quantize(13)
    files = {
        "rgb.png": (rgb, {}),
        "rgba.png": (rgba, {}),
        "grey.png": (grey, {}),
        "grey-alpha.png": (rgba.convert("LA"), {}),
        "palette.png": (palette, {}),
        "palette-transparent.png": (palette, {"transparency": 3}),
        "bilevel.png": (grey.convert("1"), {}),
        "rgb-transparent.png": (rgb, {"transparency": rgb.getpixel((3, 3))}),
        "row.png": (draw(60, 1, seed=43), {}),
        "column.png": (draw(1, 47, seed=44), {}),
        "pixel.png": (draw(1, 1, seed=45), {}),
        "photo.jpg": (photo, {"quality": 85}),
        "photo-420.jpg": (photo.crop((0, 0, 33, 21)), {"quality": 60, "subsampling": 2}),
        "photo-422-progressive.jpg": (photo.crop((5, 2, 50, 31)), {"quality": 92, "subsampling": 1, "progressive": True}),
        "grey.jpg": (grey, {"quality": 80}),
        "cmyk.jpg": (cmyk(photo.crop((0, 0, 27, 20))), {"quality": 90}),
        "lossy.webp": (photo, {"quality": 70}),
        "lossless-alpha.webp": (rgba, {"lossless": True, "exact": True}),
        "still.gif": (palette, {}),
        "first-frame.gif": (palette, {"save_all": True, "append_images": [palette.transpose(0), palette.transpose(1)], "duration": 50}),
    }
    for file, (picture, options) in files.items():
        picture.save(directory / file, **options)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter turn: viewers turn it, the processors do not
    photo.crop((0, 0, 25, 40)).save(directory / "exif6.jpg", quality=88, exif=exif)
    write_png(directory / "grey16.png", deep[..., None], color_type=0, depth=16)
    rgb16 = (np.asarray(rgb).astype(np.uint16) << 8) + rng.integers(0, 256, (17, 23, 3)).astype(np.uint16)
    write_png(directory / "rgb16.png", rgb16, color_type=2, depth=16)
    rgba16 = np.concatenate([rgb16, np.asarray(alpha).astype(np.uint16)[..., None] * 257], -1)
    write_png(directory / "rgba16.png", rgba16, color_type=6, depth=16)
    (directory / "truncated.jpg").write_bytes((directory / "photo.jpg").read_bytes()[:900])
    (directory / "truncated.png").write_bytes((directory / "rgb.png").read_bytes()[:500])
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    return sorted([*files, "exif6.jpg", "grey16.png", "rgb16.png", "rgba16.png"])


def cmyk(picture):
    """Inks with some black, so that all four channels carry something."""
    inks = np.asarray(picture.convert("CMYK")).copy()
    inks[..., 3] = inks[..., :3].min(-1) // 2
    return Image.fromarray(inks, "CMYK")


def write_png(path, samples, color_type, depth):
    """A PNG by hand: Pillow writes no 16-bit colour. samples [H, W, C], big-endian in the file, no filter."""
    height, width, _ = samples.shape
    rows = samples.astype(">u2" if depth == 16 else np.uint8)
    data = b"".join(b"\0" + rows[y].tobytes() for y in range(height))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))
