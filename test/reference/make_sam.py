"""SAM fixtures: windows that divide the grid and windows that do not, every kind of prompt."""

import math

import torch
from common import capture, draw, fresh_directory, generator, randomize, report, save_json, save_tensors, save_weights, update_json
from PIL import Image
from transformers import SamConfig, SamModel, SamProcessor
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

GAINS = {
    "rel_pos": 1.5,
    "qkv.weight": 1.5,
    "q_proj.weight": 2.0,
    "k_proj.weight": 2.0,
    "positional_embedding": 1.2,
    "upscale_conv": 1.5,
    "output_hypernetworks_mlps": 1.6,
    "mask_tokens": 1.0,
    "iou_token": 1.0,
}

FIXTURES = {
    "sam-window-divides": dict(
        seed=61,
        names="hub",
        dtype=torch.bfloat16,
        picture=(65, 43),
        second=(29, 44),
        vision=dict(hidden_size=36, num_hidden_layers=3, num_attention_heads=3, image_size=48, patch_size=8, window_size=3, global_attn_indexes=[2], mlp_dim=54, output_channels=32, num_pos_feats=16),
        prompt=dict(hidden_size=32, image_size=48, patch_size=8, mask_input_channels=8),
        decoder=dict(hidden_size=32, mlp_dim=44, num_hidden_layers=2, num_attention_heads=4, attention_downsample_rate=2, iou_head_depth=3, iou_head_hidden_dim=28),
    ),
    "sam-window-pads": dict(
        seed=62,
        names="saved",
        dtype=torch.float16,
        picture=(45, 66),
        second=(80, 27),
        vision=dict(hidden_size=30, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=8, window_size=4, global_attn_indexes=[1, 3], mlp_dim=62, output_channels=24, num_pos_feats=12),
        prompt=dict(hidden_size=24, image_size=56, patch_size=8, mask_input_channels=12),
        decoder=dict(hidden_size=24, mlp_dim=38, num_hidden_layers=2, num_attention_heads=2, attention_downsample_rate=2, iou_head_depth=2, iou_head_hidden_dim=20),
    ),
}


def prompts(width, height):
    """Prompts in pixels of the picture; every prompt of a case asks for its own masks."""
    box = lambda x0, y0, x1, y1: [x0 * width, y0 * height, x1 * width, y1 * height]  # noqa: E731
    point = lambda x, y: [x * width, y * height]  # noqa: E731
    boxes = [box(0.1, 0.2, 0.55, 0.8), box(0.5, 0.05, 0.97, 0.6)]
    clicks = [[point(0.3, 0.4), point(0.8, 0.7), point(0.1, 0.9)], [point(0.6, 0.25), point(0.2, 0.1), point(0.5, 0.55)]]
    labels = [[1, 0, 1], [1, 1, 0]]
    return {
        "boxes": dict(input_boxes=[boxes]),
        "point": dict(input_points=[[[point(0.42, 0.37)]]], input_labels=[[[1]]]),
        "points": dict(input_points=[clicks], input_labels=[labels]),
        "points-boxes": dict(input_points=[clicks], input_labels=[labels], input_boxes=[boxes]),
    }


def make(name):
    spec = FIXTURES[name]
    directory = fresh_directory(name)
    draw(*spec["picture"], seed=spec["seed"] * 10).save(directory / "picture.png")
    draw(*spec["second"], seed=spec["seed"] * 10 + 1).save(directory / "second.jpg", quality=90)
    write_processor(directory, spec)
    model = write_model(directory, spec)
    expect(directory, spec, model)
    report(directory)


def write_processor(directory, spec):
    size, cell = spec["vision"]["image_size"], 4 * (spec["vision"]["image_size"] // spec["vision"]["patch_size"])
    config = dict(
        do_convert_rgb=True,
        do_resize=True,
        size={"longest_edge": size},
        resample=2,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
        do_pad=True,
        pad_size={"height": size, "width": size},
        mask_size={"longest_edge": cell},
        mask_pad_size={"height": cell, "width": cell},
        image_processor_type="SamImageProcessor",
        processor_class="SamProcessor",
    )
    save_json(directory / "preprocessor_config.json", config)


def write_model(directory, spec):
    config = SamConfig(
        vision_config=spec["vision"], prompt_encoder_config=spec["prompt"], mask_decoder_config=spec["decoder"], architectures=["SamModel"]
    )
    model = randomize(SamModel(config), spec["seed"], GAINS)
    places = model.vision_encoder.pos_embed
    with torch.no_grad():
        places.copy_(0.4 * torch.randn(places.shape, generator=generator(spec["seed"], "pos_embed")))
        # The random Fourier features have a standard deviation of their own, whatever their number.
        frequencies = model.shared_image_embedding.positional_embedding
        frequencies.mul_(math.sqrt(frequencies.shape[1]) * 0.6)
        for tensor in model.parameters():
            tensor.copy_(tensor.to(spec["dtype"]))
    state = {name: tensor.to(spec["dtype"]) for name, tensor in model.state_dict().items()}
    config.save_pretrained(directory)
    if spec["names"] == "saved":
        model.to(spec["dtype"]).save_pretrained(directory)
        (directory / "model.safetensors").chmod(0o644)
    else:  # the hub's files hold the shared embedding under both of its names
        save_weights(directory / "model.safetensors", state)
    update_json(directory / "config.json", dtype=str(spec["dtype"]).removeprefix("torch."))
    again = SamModel.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, state[name].float()), f"{name} is not read back"
    return again


def expect(directory, spec, model):
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(directory))
    picture = Image.open(directory / "picture.png").convert("RGB")
    tensors, cases = vision_outputs(model, processor, picture)
    embeddings = tensors["image_embeddings"]
    for name, prompt in prompts(*picture.size).items():
        inputs = processor(picture, return_tensors="pt", **prompt)
        sizes = (inputs["original_sizes"], inputs["reshaped_input_sizes"])
        given = {key: value.float() if "labels" not in key else value for key, value in inputs.items() if key.startswith("input_")}
        tensors |= decode(model, embeddings, name, given)
        cases[name] = prompt
        if name == "boxes":
            size = {"height": spec["vision"]["image_size"], "width": spec["vision"]["image_size"]}
            for kind in ("", "single."):
                masks = processor.post_process_masks(tensors[f"boxes.{kind}pred_masks"], *sizes, binarize=False, pad_size=size)
                tensors[f"boxes.{kind}masks"] = masks[0]
            # The better mask of the first box, given back as a prompt beside both boxes.
            best = tensors["boxes.iou_scores"][0, 0].argmax()
            mask = {"input_masks": tensors["boxes.pred_masks"][:, 0, best][None]}
            tensors |= decode(model, embeddings, "boxes-mask", given | mask)
            cases["boxes-mask"] = dict(prompt, input_masks="input_masks in expect.safetensors")
    second = Image.open(directory / "second.jpg").convert("RGB")
    box = [[[0.2 * second.width, 0.1 * second.height, 0.7 * second.width, 0.9 * second.height]]]
    inputs = processor(second, input_boxes=box, return_tensors="pt")
    with torch.no_grad():
        output = model(pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"].float())
    tensors |= {
        "second.pixel_values": inputs["pixel_values"],
        "second.reshaped_input_sizes": inputs["reshaped_input_sizes"],
        "second.input_boxes": inputs["input_boxes"].float(),
        "second.pred_masks": output.pred_masks,
        "second.iou_scores": output.iou_scores,
    }
    cases["second"] = {"input_boxes": box}
    save_tensors(directory / "expect.safetensors", tensors)
    save_json(directory / "expect.json", {"picture": "picture.png", "second_picture": "second.jpg", "prompts": cases})
    logits = tensors["boxes.pred_masks"]
    print("   iou", tensors["boxes.iou_scores"].tolist(), "masks", logits.mean().item(), logits.std().item(), (logits > 0).float().mean().item())


def vision_outputs(model, processor, picture):
    inputs = processor(picture, return_tensors="pt")
    encoder = model.vision_encoder
    blocks = {f"vision.layers.{index}": layer for index, layer in enumerate(encoder.layers)}
    with torch.no_grad():
        embeddings, seen = capture(blocks, lambda: model.get_image_embeddings(inputs["pixel_values"]))
        first = encoder.patch_embed(inputs["pixel_values"]) + encoder.pos_embed
        wide = model.get_image_wide_positional_embeddings()
    tensors = {
        "pixel_values": inputs["pixel_values"],
        "original_sizes": inputs["original_sizes"],
        "reshaped_input_sizes": inputs["reshaped_input_sizes"],
        "vision.embeddings": first,
        **seen,
        "image_embeddings": embeddings,
        "image_positional_embeddings": wide,
    }
    return tensors, {}


def decode(model, embeddings, case, given):
    """Prompt embeddings, tokens after each block of the decoder, masks and scores, for several masks and for one."""
    tensors = {f"{case}.{key}": value for key, value in given.items()}
    full = {key: given.get(key) for key in ("input_points", "input_labels", "input_boxes", "input_masks")}
    blocks = {f"{case}.tokens.{i}": layer for i, layer in enumerate(model.mask_decoder.transformer.layers)}
    blocks[f"{case}.tokens.final"] = model.mask_decoder.transformer
    with torch.no_grad():
        sparse, dense = model.get_prompt_embeddings(**full)
        single = model(image_embeddings=embeddings, multimask_output=False, **given)
        several, seen = capture(blocks, lambda: model(image_embeddings=embeddings, **given))
    tensors |= seen
    tensors[f"{case}.sparse_embeddings"] = sparse
    if "input_masks" in given:
        tensors[f"{case}.dense_embeddings"] = dense
    tensors |= {f"{case}.pred_masks": several.pred_masks, f"{case}.iou_scores": several.iou_scores}
    tensors |= {f"{case}.single.pred_masks": single.pred_masks, f"{case}.single.iou_scores": single.iou_scores}
    return tensors
