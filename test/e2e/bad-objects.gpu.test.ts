import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeSafetensors } from "@mask-llava/models";
import { beforeAll } from "vitest";
import { brokenModel, notANumber, set } from "./broken.ts";
import { describeFailures, type Place, type Row, type Says } from "./failures.ts";
import { savedMaskLlava } from "./mask-llava-folder.ts";
import { fixture, keptFolder, sharedDeviceCli } from "./support.ts";

const cli = sharedDeviceCli();
const picture = fixture("sam-window-divides", "picture.png");
const inversion = "mask-inversion-tiny-quick-gelu";
const [image, mask] = [fixture(inversion, "image.png"), fixture(inversion, "mask0.png")];
const detect = ["detect", picture, "--model", fixture("detr-refine")];
const segment = ["segment", picture, "--model", fixture("sam-window-divides"), "--box", "1,1,20,20"];
const invert = ["invert", image, "--model", fixture(inversion), "--mask", mask];

const row = (what: string, argv: readonly string[], says: Says): Row => [
  what,
  ({ out }) => [...argv, ...out],
  says,
];

/** A file or folder that a flag names, made by `make` in the test's own folder. */
const placed = (
  what: string,
  argv: readonly string[],
  flag: string,
  make: (folder: string) => string,
  says: Says,
): Row => [what, ({ folder, out }) => [...argv, flag, make(folder), ...out], [flag, ...says]];

const missing = (folder: string) => join(folder, "none", "file");
const itself = (folder: string) => folder;
function written(name: string, text: string): (folder: string) => string {
  return (folder) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
}

const placeRows: readonly Row[] = [
  placed("no folder for the picture", detect, "--save-picture", missing, ["there is no folder"]),
  placed("a folder for the picture", detect, "--save-picture", itself, [
    "is a folder, expected a file's name",
  ]),
  placed("no folder for COCO JSON", detect, "--save-coco", missing, ["there is no folder"]),
  placed("no folder for the folder of masks", segment, "--save-masks", (f) => join(f, "a", "b"), [
    "there is no folder",
  ]),
  placed("a file for the folder of masks", segment, "--save-masks", written("masks", ""), [
    "is a file, expected a folder",
  ]),
  row(
    "a mask that is not there",
    ["invert", image, "--model", fixture(inversion), "--mask", "nowhere.png"],
    ["nowhere.png", "no such file"],
  ),
  [
    "a mask that is not a picture",
    ({ folder, out }) => [...invert, "--mask", written("mask.png", "a mask")(folder), ...out],
    ["mask.png", "not a picture"],
  ],
  row(
    "a layer that the tower does not have",
    [...invert, "--layer", "-4"],
    ["layer is -4", "expected a block from -3 to 2"],
  ),
  row(
    "pictures smaller than a patch",
    [...invert, "--image-size", "15"],
    ["image size is 15", "at least a patch, 16"],
  ),
];

const wrongKind = (what: string, argv: readonly string[], says: Says) =>
  row(what, argv, ["config.json", ...says]);

const kindRows: readonly Row[] = [
  wrongKind(
    "detect with SAM",
    ["detect", picture, "--model", fixture("sam-window-pads")],
    ['found "sam"', 'expected "deformable_detr"', "mask-llava segment"],
  ),
  wrongKind(
    "segment with a detector",
    ["segment", picture, "--box", "1,1,9,9", "--model", fixture("detr-multi")],
    ['found "deformable_detr"', 'expected "sam"', "mask-llava detect"],
  ),
  wrongKind(
    "invert with LLaVA",
    ["invert", image, "--mask", mask, "--model", fixture("llava-full")],
    ['found "llava"', 'expected "clip"', "mask-llava ask"],
  ),
  wrongKind(
    "ask with a detector",
    ["ask", picture, "What?", "--model", fixture("detr-single")],
    ['found "deformable_detr"', 'expected "llava"', "mask-llava detect"],
  ),
  wrongKind(
    "compose with CLIP",
    ["compose", picture, "--model", fixture("clip-gelu")],
    ["mask_llava.json", "holds no Mask-LLaVA checkpoint", 'model_type "clip"', "mask-llava encode"],
  ),
];

/** A row of a detector or a segmenter with a file changed. */
const brokenRow = (what: string, verb: "detect" | "segment", field: string, to: unknown, says: Says): Row => [
  what,
  ({ folder, out }) => {
    const name = verb === "detect" ? "detr-refine" : "sam-window-divides";
    const model = brokenModel(name, folder, { "config.json": set(field, to) });
    return [verb, picture, "--model", model, ...(verb === "segment" ? ["--box", "1,1,9,9"] : []), ...out];
  },
  says,
];

const networkRows: readonly Row[] = [
  brokenRow("a detector of another width", "detect", "d_model", 32, ["found [64", "expected [32"]),
  brokenRow("a detector's heads that do not divide", "detect", "encoder_attention_heads", 5, [
    "encoder_attention_heads",
    "does not divide d_model",
  ]),
  brokenRow("a detector of another number of classes", "detect", "id2label", { 0: "thing" }, [
    "class_embed",
    "found [7",
    "expected [1",
  ]),
  brokenRow("a detector's labels with a hole", "detect", "id2label", { 0: "a", 2: "b" }, [
    "id2label",
    "classes 0 to 1",
  ]),
  brokenRow("a segmenter of another width", "segment", "vision_config.hidden_size", 48, [
    "found [36",
    "expected [48",
  ]),
  brokenRow("a segmenter of another picture size", "segment", "vision_config.image_size", 64, [
    "image_size",
    "64",
    "found 48",
  ]),
];

const inversionRows: readonly Row[] = [
  [
    "a picture's embedding that is no numbers",
    ({ folder, out }) => {
      const weights = { "model.safetensors": notANumber("visual_projection.weight") };
      return ["invert", image, "--model", brokenModel(inversion, folder, weights), "--mask", mask, ...out];
    },
    ["MaskInversion's embedding of the picture: NaN or infinity"],
  ],
  row(
    "steps that lead to infinity",
    [...invert, "--lr", "1e6", "--weight-decay", "1e6"],
    ["MaskInversion's", "NaN or infinity", "expected finite numbers"],
  ),
];

type Edit = (model: string) => void;

let usual: string;
const kept = keptFolder();
beforeAll(async () => {
  usual = await savedMaskLlava(kept());
});

/** A Mask-LLaVA checkpoint with `edit` done to a copy of its folder. */
function maskLlavaRow(what: string, edit: Edit, says: Says, extra: readonly string[] = []): Row {
  return [
    what,
    ({ folder, out }: Place) => {
      const model = join(folder, "model");
      cpSync(usual, model, { recursive: true });
      edit(model);
      return ["compose", picture, "--model", model, ...extra, ...out];
    },
    says,
  ];
}

/** Changes fields of mask_llava.json. */
const settings =
  (fields: Readonly<Record<string, unknown>>): Edit =>
  (model) => {
    const file = join(model, "mask_llava.json");
    const before = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...before, ...fields }));
  };
const settingsRow = (what: string, fields: Readonly<Record<string, unknown>>, says: Says) =>
  maskLlavaRow(what, settings(fields), ["mask_llava.json", ...says]);
const text =
  (content: string): Edit =>
  (model) =>
    writeFileSync(join(model, "mask_llava.json"), content);
const budgetRow = (what: string, extra: readonly string[], says: Says) =>
  maskLlavaRow(what, () => {}, says, extra);
const cocoRow = (what: string, content: string, says: Says): Row => [
  what,
  ({ folder, out }) => {
    const file = written("boxes.json", content)(folder);
    return ["compose", picture, "--model", usual, "--boxes", file, ...out];
  },
  ["boxes.json", ...says],
];
const given = ["--box", "1,1,30,30", "--box", "20,10,60,40"];

const maskLlavaRows: readonly Row[] = [
  maskLlavaRow("mask_llava.json that is not JSON", text("{vision:"), ["mask_llava.json", "not valid JSON"]),
  maskLlavaRow("mask_llava.json that is a list", text("[]"), ["mask_llava.json", "found []"]),
  settingsRow("a misspelt setting", { patchgrid: [2, 2] }, ["patchgrid"]),
  settingsRow("a path that escapes", { vision: "../vision" }, ["vision", "'..'"]),
  settingsRow("a path that escapes below", { detector: "a/../../b" }, ["detector", "'..'"]),
  settingsRow("a path from the root", { language: "/language" }, ["language", "relative"]),
  settingsRow("a path to itself", { vision: "." }, ["vision", "relative"]),
  settingsRow("a grid of nothing", { patch_grid: [0, 3] }, ["patch_grid", "found 0"]),
  settingsRow("an order with a kind twice", { order: ["cls", "cls", "objects", "background"] }, [
    "order",
    "once each",
  ]),
  settingsRow("a threshold above 1", { objects: { score_threshold: 2 } }, [
    "objects.score_threshold",
    "found 2",
  ]),
  settingsRow("a scaling that there is not", { norm_scaling: "some" }, [
    "norm_scaling",
    'found "some"',
    "patch_mean",
  ]),
  settingsRow("a layer of features that there is not", { vision_feature_layer: -9 }, [
    "vision_feature_layer",
    "-9",
  ]),
  settingsRow("a sub-folder that is not there", { segmenter: "sam" }, ["segmenter", "is missing", "/sam"]),
  settingsRow("another kind of model as a segmenter", { segmenter: "detector" }, [
    "segmenter",
    "model_type",
    'expected "sam"',
  ]),
  maskLlavaRow("no vision tower", (model) => rmSync(join(model, "vision"), { recursive: true }), [
    "vision",
    "config.json",
    "is missing",
  ]),
  maskLlavaRow(
    "a sub-folder that is a cycle of links",
    (model) => {
      rmSync(join(model, "vision"), { recursive: true });
      symlinkSync("vision", join(model, "vision"));
    },
    ["vision", "cannot be read"],
  ),
  maskLlavaRow("no projector", (model) => rmSync(join(model, "projector"), { recursive: true }), [
    "projector",
    "multi_modal_projector",
  ]),
  maskLlavaRow(
    "a projector that gives no numbers",
    (model) => {
      const file = join(model, "projector", "model.safetensors");
      const change = notANumber("multi_modal_projector.linear_2.bias");
      writeFileSync(file, change(readFileSync(file)) as Uint8Array);
    },
    ["Mask-LLaVA's visual embeddings: NaN or infinity"],
  ),
  maskLlavaRow(
    "a projector for another decoder",
    (model) => {
      const weight = (shape: number[]) => ({
        shape,
        data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.1),
      });
      const kinds = { cls: 30, patch: 30, object: 22 };
      const first = Object.entries(kinds).map(([kind, width]) => [
        `multi_modal_projector.linear_1.${kind}.weight`,
        weight([64, width]),
      ]);
      const tensors = {
        ...Object.fromEntries(first),
        "multi_modal_projector.linear_2.weight": weight([64, 64]),
      };
      writeFileSync(join(model, "projector", "model.safetensors"), Buffer.concat(encodeSafetensors(tensors)));
    },
    ["linear_1.cls", "found [64, 30]", "expected [30, 30]"],
  ),
  maskLlavaRow("one projector for tokens of several widths", settings({ projector: "shared" }), [
    'projector "shared"',
    "[CLS] has 30",
    "objects 22",
  ]),
  maskLlavaRow(
    "neither detector nor segmenter, and nothing given",
    settings({ detector: null, segmenter: null }),
    ["neither a detector nor a segmenter", "boxes or masks"],
  ),
  budgetRow(
    "more tokens than there are",
    [...given, "--tokens", "14"],
    ["--tokens 14", "there are 13: 1 [CLS], 9 patches, 2 objects, 1 background"],
  ),
  budgetRow(
    "more objects than there are",
    [...given, "--objects", "3"],
    ["--objects 3", "the picture has 2"],
  ),
  budgetRow(
    "a grid finer than the tower's",
    ["--patch-grid", "6x5"],
    ["--patch-grid 6x5", "the vision tower's 5x5"],
  ),
  budgetRow("a COCO file that is not there", ["--boxes", "nowhere.json"], ["nowhere.json", "no such file"]),
  cocoRow("a COCO file that is not JSON", "boxes:", ["not valid JSON"]),
  cocoRow("a COCO file without annotations", "{}", ["annotations", "is missing"]),
  cocoRow("a COCO box of three numbers", '[{"bbox":[1,2,3]}]', ["annotations[0].bbox", "found [1,2,3]"]),
  cocoRow("a COCO box of no width", '{"annotations":[{"bbox":[1,2,0,3]}]}', [
    "annotations[0].bbox",
    "above 0",
  ]),
  cocoRow("a COCO annotation without a box", '[{"bbox":[1,2,3,4]},{}]', [
    "annotations[1].bbox",
    "found nothing",
  ]),
];

describeFailures("a bad place or file for objects", placeRows, cli);
describeFailures("another kind of model", kindRows, cli);
describeFailures("a bad detector or segmenter", networkRows, cli);
describeFailures("an inversion that leads to no numbers", inversionRows, cli);
describeFailures("a bad Mask-LLaVA checkpoint or budget", maskLlavaRows, cli);
