"""Stage 7: one Mask-LLaVA folder of all networks (f16), and the baseline as a LLaVA folder; checks the size.

  runs/export/mask-llava  mask_llava.json, vision/, detector/, segmenter/, language/, projector/
  runs/export/llava       the baseline: all patch tokens
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, LlavaConfig

from common import CLIP_MEAN, CLIP_STD, HERE, IMAGE_SIZE, save_json
from composition import PATCH_GRID, read_settings
from language_model import PREFIX, copy_tokenizer, generation_config, load
from tokens import IMAGE, Speech

MOST_BYTES = 12_000_000


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def export_mask_llava(runs, settings_path, target, language="language"):
    fresh(target)
    shutil.copyfile(settings_path, target / "mask_llava.json")
    parts = {
        "vision": runs / "clip" / "model", "detector": runs / "detector" / "model", "segmenter": runs / "sam" / "model",
        "language": runs / language / "model" / "language", "projector": runs / language / "model" / "projector",
    }
    for name, source in parts.items():
        shutil.copytree(source, target / name)


def export_llava(runs, settings, target):
    """The names that the hub's LLaVA files have."""
    fresh(target)
    source = runs / "baseline" / "model"
    model = load(source, settings)
    clip = load_file(runs / "clip" / "model" / "model.safetensors")
    state = {f"vision_tower.{name}": t for name, t in clip.items() if name.startswith("vision_model.")}
    state |= {f"language_model.{name}": t.half() for name, t in model.language.state_dict().items()}
    state |= {f"{PREFIX}{name}": t.half() for name, t in model.projector.state_dict().items()}
    state = {name: t.clone().contiguous() for name, t in state.items()}  # head and embedding are stored apart
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    text = model.language.config.to_dict() | {"tie_word_embeddings": False}
    image = Speech(runs / "tokenizer" / "language").image
    config = LlavaConfig(
        vision_config=CLIPVisionConfig.from_pretrained(runs / "clip" / "model").to_dict(), text_config=text,
        image_token_index=image, image_seq_length=PATCH_GRID**2, projector_hidden_act="gelu",
        vision_feature_select_strategy="default", vision_feature_layer=-2, tie_word_embeddings=False,
        architectures=["LlavaForConditionalGeneration"], dtype=torch.float16,
    )
    config.save_pretrained(target)
    generation_config(model.language.config, target)
    copy_tokenizer(runs / "tokenizer" / "language", target)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = dict(
        image_processor_type="CLIPImageProcessor", do_resize=True, do_center_crop=True, do_rescale=True,
        rescale_factor=1 / 255, do_normalize=True, do_convert_rgb=True, size={"shortest_edge": IMAGE_SIZE}, crop_size=size,
        image_mean=CLIP_MEAN, image_std=CLIP_STD, resample=3, processor_class="LlavaProcessor",
    )
    save_json(target / "preprocessor_config.json", processor)
    save_json(
        target / "processor_config.json",
        dict(
            image_token=IMAGE, processor_class="LlavaProcessor", patch_size=IMAGE_SIZE // PATCH_GRID,
            vision_feature_select_strategy="default", num_additional_image_tokens=1,
        ),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=HERE / "runs")
    parser.add_argument("--settings", type=Path, default=HERE / "mask_llava.json")
    parser.add_argument("--language", default="language", help="run of the language side")
    parser.add_argument("--out", type=Path, help="one checkpoint alone, to this folder")
    args = parser.parse_args()
    settings, out = read_settings(args.settings), args.runs / "export"
    if args.out:
        export_mask_llava(args.runs, args.settings, args.out, args.language)
        return
    export_mask_llava(args.runs, args.settings, out / "mask-llava", args.language)
    if (args.runs / "baseline" / "model").exists():
        export_llava(args.runs, settings, out / "llava")
    sizes = {p: p.stat().st_size for p in sorted((out / "mask-llava").rglob("*")) if p.is_file()}
    for path, size in sizes.items():
        print(f"{size:>10,}  {path.relative_to(out)}")
    weights = sum(size for path, size in sizes.items() if path.suffix == ".safetensors")
    print(f"{weights:,} bytes of weights, {sum(sizes.values()):,} in all; at most {MOST_BYTES:,}")
    if sum(sizes.values()) > MOST_BYTES:
        raise SystemExit("the checkpoint is too large to be shipped")


if __name__ == "__main__":
    main()
