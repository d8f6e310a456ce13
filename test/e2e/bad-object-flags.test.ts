import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pixels } from "@mask-llava/models";
import { encodePng } from "@mask-llava/models/node";
import { describe, expect, test } from "vitest";
import { savedMaskLlava } from "./mask-llava-folder.ts";
import { cli, filesBelow, fixture, temporaryFolder } from "./support.ts";

const picture = fixture("sam-window-divides", "picture.png"); // 65 x 43
const other = fixture("mask-inversion-tiny-quick-gelu", "mask0.png"); // 80 x 80
const detect = ["detect", picture, "--model", fixture("detr-refine")];
const segment = ["segment", picture, "--model", fixture("sam-window-divides")];
const invert = [
  ...["invert", fixture("mask-inversion-tiny-quick-gelu", "image.png")],
  ...["--model", fixture("mask-inversion-tiny-quick-gelu"), "--mask", other],
];
const compose = ["compose", picture, "--model", "mask-llava"];
const ask = ["ask", picture, "What is it?", "--model", fixture("llava-default")];
const inside = ["--box", "1,1,20,20"];

type Says = readonly (string | RegExp)[];
/** What is said, the command line, and what the message must name. None of them gets as far as a device. */
type Row = readonly [name: string, argv: readonly string[], says: Says];

const rows: readonly Row[] = [
  ["detect without a picture", ["detect", "--model", "m"], ["missing required argument 'image'"]],
  [
    "--threshold in words",
    [...detect, "--threshold", "high"],
    ["--threshold", "'high'", "a number of at least 0"],
  ],
  ["--threshold above 1", [...detect, "--threshold", "1.01"], ["--threshold", "'1.01'", "at most 1"]],
  ["--threshold that is no number", [...detect, "--threshold", "NaN"], ["--threshold", "'NaN'"]],
  ["--top-k of 0 detections", [...detect, "--top-k", "0"], ["--top-k", "'0'", "at least 1"]],
  ["--nms below 0", [...detect, "--nms", "-0.1"], ["--nms", "'-0.1'", "at least 0"]],
  ["--nms with --top-k", [...detect, "--nms", "0.5", "--top-k", "5"], ["--top-k", "--nms"]],
  ["--box of another command", [...detect, ...inside], ["unknown option '--box'"]],
  [
    "--no-patches with a grid of them",
    [...compose, "--no-patches", "--patch-grid", "2x2"],
    ["--no-patches leaves --patch-grid nothing to do"],
  ],
  ["segment without a prompt", segment, ["segment needs", "--box x0,y0,x1,y1", "--point x,y,label"]],
  ["--box of three numbers", [...segment, "--box", "1,2,3"], ["--box", "'1,2,3'", "four numbers"]],
  ["--box of five numbers", [...segment, "--box", "1,2,3,4,5"], ["--box", "'1,2,3,4,5'", "four numbers"]],
  ["--box with NaN", [...segment, "--box", "1,2,NaN,4"], ["--box", "'1,2,NaN,4'", "four numbers"]],
  ["--box without end", [...segment, "--box", "0,0,Infinity,4"], ["--box", "'0,0,Infinity,4'"]],
  ["--box with a hole", [...segment, "--box", "1,,3,4"], ["--box", "'1,,3,4'", "four numbers"]],
  ["--box in words", [...segment, "--box", "left"], ["--box", "'left'", "four numbers"]],
  ["--box inverted in x", [...segment, "--box", "20,1,10,9"], ["--box", "'20,1,10,9'", "x0 < x1"]],
  ["--box inverted in y", [...segment, "--box", "1,20,9,10"], ["--box", "'1,20,9,10'", "y0 < y1"]],
  ["--box of no area", [...segment, "--box", "5,5,5,9"], ["--box", "'5,5,5,9'", "x0 < x1"]],
  ["--box beyond the picture", [...segment, "--box", "5,5,66,9"], ["--box 5,5,66,9", "x <= 65", "y <= 43"]],
  ["--box beside the picture", [...segment, "--box", "100,50,120,60"], ["--box 100,50,120,60", "beyond"]],
  ["--box before the picture", [...segment, "--box", "-1,5,6,9"], ["--box -1,5,6,9", "0 <= x"]],
  ["a second --box that is bad", [...segment, ...inside, "--box", "0,0,0,0"], ["--box", "'0,0,0,0'"]],
  ["--point without a label", [...segment, "--point", "5,5"], ["--point", "'5,5'", "x,y,label"]],
  ["--point with a label that is none", [...segment, "--point", "5,5,2"], ["--point", "'5,5,2'", "label 1"]],
  ["--point with a label in parts", [...segment, "--point", "5,5,0.5"], ["--point", "'5,5,0.5'", "label"]],
  ["--point with a negative label", [...segment, "--point", "5,5,-1"], ["--point", "'5,5,-1'", "label"]],
  ["--point in words", [...segment, "--point", "here"], ["--point", "'here'", "three numbers"]],
  ["--point beside the picture", [...segment, "--point", "5,44,1"], ["--point 5,44,1", "y <= 43"]],
  ["invert without a mask", invert.slice(0, 4), ["invert needs", "--mask FILE"]],
  ["--iterations of 0", [...invert, "--iterations", "0"], ["--iterations", "'0'", "at least 1"]],
  ["--iterations in parts", [...invert, "--iterations", "1.5"], ["--iterations", "'1.5'", "a whole number"]],
  ["--lr of 0", [...invert, "--lr", "0"], ["--lr", "'0'", "above 0"]],
  ["--alpha below 0", [...invert, "--alpha", "-1"], ["--alpha", "'-1'", "at least 0"]],
  ["--weight-decay in words", [...invert, "--weight-decay", "some"], ["--weight-decay", "'some'"]],
  ["--layer in parts", [...invert, "--layer", "-1.5"], ["--layer", "'-1.5'", "a whole number"]],
  ["--image-size of 0", [...invert, "--image-size", "0"], ["--image-size", "'0'", "at least 1"]],
  ["--mask without a name", [...invert, "--mask", ""], ["--mask", "Expected a mask file"]],
  [
    "--mask of another size",
    ["invert", picture, "--model", fixture("clip-gelu"), "--mask", other],
    ["--mask", "mask0.png", "is 80x80", "expected the picture's 65x43"],
  ],
  [
    "--tokens in words",
    [...compose, "--tokens", "few"],
    ["--tokens", "'few'", "a whole number of at least 1"],
  ],
  ["--tokens of 0", [...compose, "--tokens", "0"], ["--tokens", "'0'", "at least 1"]],
  ["--tokens in parts", [...compose, "--tokens", "2.5"], ["--tokens", "'2.5'", "a whole number"]],
  ["--objects below 0", [...compose, "--objects", "-1"], ["--objects", "'-1'", "at least 0"]],
  [
    "--patch-grid of one number",
    [...compose, "--patch-grid", "4"],
    ["--patch-grid", "'4'", "rows x columns"],
  ],
  ["--patch-grid of nothing", [...compose, "--patch-grid", "0x4"], ["--patch-grid", "'0x4'", "at least 1x1"]],
  [
    "--drop-policy that there is not",
    [...compose, "--drop-policy", "best"],
    ["--drop-policy", "'best'", "score, area"],
  ],
  ["--seed of a policy without chance", [...compose, "--seed", "1"], ["--seed", "--drop-policy random"]],
  ["--mask with --box", [...compose, "--mask", other, ...inside], ["--mask", "--box"]],
  ["--mask with --boxes", [...compose, "--mask", other, "--boxes", "a.json"], ["--mask", "--boxes"]],
  [
    "a budget for LLaVA",
    [...ask, "--tokens", "16", "--no-cls"],
    ["--tokens 16 --no-cls", "Mask-LLaVA", "no mask_llava.json in", "llava-default"],
  ],
  ["a sheet of LLaVA's tokens", [...ask, "--save-picture", "sheet.png"], ["--save-picture", "Mask-LLaVA"]],
  [
    "--save-picture without a name",
    [...detect, "--save-picture", ""],
    ["--save-picture", "Expected a file name"],
  ],
  [
    "--save-picture over the picture",
    [...detect, "--save-picture", picture],
    ["--save-picture", "would replace a file that is read"],
  ],
  [
    "--save-picture over the model",
    [...detect, "--save-picture", fixture("detr-refine", "config.json")],
    ["--save-picture", "would replace a file of the model"],
  ],
  [
    "--save-coco into --save-picture's file",
    [...detect, "--save-picture", "a.png", "--save-coco", "./a.png"],
    ["--save-coco", "is the file of --save-picture too"],
  ],
  [
    "--save-masks into the model",
    [...segment, ...inside, "--save-masks", fixture("sam-window-divides")],
    ["--save-masks", "is the folder of the model"],
  ],
];

describe("command lines about objects that make no sense end with code 2 and a message that names what is wrong", () => {
  test.each(rows)("%s", (_, argv, says) => expectUsageError(argv, says));
});

async function expectUsageError(argv: readonly string[], says: Says): Promise<void> {
  const { code, stdout, stderr } = await cli(...argv);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  for (const part of says) expect(stderr).toMatch(part);
  expect(stderr).not.toMatch(/^\s+at .*:\d+/m);
}

describe("what does not fit the picture ends with code 2, before a device is opened", () => {
  const grey = (edit: (data: Uint8Array) => void) => {
    const data = new Uint8Array(65 * 43);
    edit(data);
    return encodePng(pixels(43, 65, 1, data));
  };
  const places: readonly (readonly [string, (folder: string) => Promise<readonly string[]>, Says])[] = [
    [
      "a mask with greys among objects",
      async (folder) => {
        const file = join(folder, "soft.png");
        writeFileSync(file, await grey((data) => data.fill(128, 70, 75)));
        return ["--mask", file];
      },
      ["--mask", "soft.png", "found the grey 128 at x 5, y 1", "expected 0 and 255 alone"],
    ],
    [
      "a mask of another size among objects",
      async () => ["--mask", other],
      ["--mask", "mask0.png", "is 80x80", "expected the picture's 65x43"],
    ],
    ["a box beyond the picture", async () => ["--box", "0,0,65,44"], ["--box 0,0,65,44", "y <= 43"]],
    [
      "a COCO box beyond the picture",
      async (folder) => {
        const file = join(folder, "boxes.json");
        writeFileSync(file, JSON.stringify([{ bbox: [60, 1, 10, 10] }]));
        return ["--boxes", file];
      },
      ["--boxes", "boxes.json 60,1,70,11", "x <= 65"],
    ],
    ["several pictures", async () => ["--image", picture], ["one picture, found 2"]],
  ];
  test.each(places)("%s", async (_, make, says) => {
    const folder = temporaryFolder();
    const model = await savedMaskLlava(folder);
    mkdirSync(join(folder, "work"));
    const extra = await make(join(folder, "work"));
    const before = filesBelow(folder);
    await expectUsageError(["ask", picture, "What?", "--model", model, ...extra], says);
    expect(filesBelow(folder)).toEqual(before);
  });
});
