"""Reference answers of some scenes for the product's tests: boxes, masks, tokens, embeddings, greedy answers.

Writes DIR/pictures/*.jpg, DIR/expect.json and DIR/expect.safetensors; the checkpoint is runs/export/mask-llava. Tensors of scene
i: `i.boxes` [n, 4], `i.scores` [n], `i.cls` [1, D], `i.objects` [n + 1, E] (the background last), `i.visual_embeds` [T, Dllm] (all
tokens). expect.json lists {id, picture, tokens, masks (COCO run lengths), answers: [{question, expected, text, margin}]}: `margin`
is the least difference between the best two logits on the way, to tell ties from errors.
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from common import HERE, save_json, seed_everything
from compose_tokens import Pipeline
from composition import plan, read_settings
from dataset import Split, encode_rle
from language_model import load
from tokens import Speech


@torch.no_grad()
def greedy(model, visual, question, speech, most=96):
    """One question, decoded token by token without any packing. -> text, least margin"""
    language = model.language
    embed = language.model.embed_tokens
    asked, _ = speech.turn(question, "")
    inputs = torch.cat([embed(torch.tensor(speech.before)), visual, embed(torch.tensor(asked))])[None]
    cache, ids, margin = None, [], float("inf")
    for _ in range(most):
        out = language(inputs_embeds=inputs, past_key_values=cache, use_cache=True)
        best = out.logits[0, -1].topk(2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        cache, token = out.past_key_values, int(best.indices[0])
        if token == speech.eos:
            break
        ids.append(token)
        inputs = embed(torch.tensor([[token]]))
    return speech.tokenizer.decode(ids).strip(), margin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE / "data")
    parser.add_argument("--runs", type=Path, default=HERE / "runs")
    parser.add_argument("--settings", type=Path, default=HERE / "mask_llava.json")
    parser.add_argument("--split", default="test")
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--out", type=Path, help="default: runs/agree")
    args = parser.parse_args()
    seed_everything(1)
    out, settings = args.out or args.runs / "agree", read_settings(args.settings)
    pipeline, model = Pipeline(args.runs, settings), load(args.runs / "language" / "model", settings)
    speech, split = Speech(args.runs / "tokenizer" / "language"), Split(args.data, args.split, args.scenes)
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    tensors, scenes = {}, []
    for i, scene in enumerate(split.scenes):
        found, _, cls, patches, objects, *_ = pipeline.compose(split.images[i : i + 1])
        boxes, scores, masks = found[0]
        with torch.no_grad():
            own = {"cls": cls, "patches": patches[0], "objects": objects}
            visual = model.visual(own, plan(len(objects), tuple(settings["patch_grid"])))
        values = {"cls": cls, "objects": objects, "visual_embeds": visual}
        values |= {"boxes": torch.from_numpy(boxes).float(), "scores": torch.from_numpy(scores).float()}
        tensors |= {f"{i}.{name}": value.contiguous() for name, value in values.items()}
        picture = f"pictures/{Path(scene['image']).name}"
        shutil.copyfile(split.folder / scene["image"], out / picture)
        answers = []
        for q in scene["questions"]:
            text, margin = greedy(model, visual, q["question"], speech)
            answers.append({"question": q["question"], "expected": str(q["answer"]), "text": text, "margin": round(margin, 6)})
        shown = {"picture": picture, "tokens": len(visual), "masks": [encode_rle(mask) for mask in masks]}
        scenes.append({"id": scene["id"], **shown, "answers": answers})
    save_file(tensors, out / "expect.safetensors")
    save_json(out / "expect.json", {"settings": settings, "scenes": scenes})
    asked = [a for s in scenes for a in s["answers"]]
    print(f"{len(scenes)} scenes, {len(asked)} answers, {sum(a['text'] == a['expected'] for a in asked) / len(asked):.3f} right: {out}")


if __name__ == "__main__":
    main()
