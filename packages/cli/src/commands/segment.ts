import { basename } from "node:path";
import {
  type Box,
  type Pixels,
  Sam,
  type SamImage,
  type SamPrompts,
  type SamValues,
} from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import { Command } from "commander";
import { type CocoObject, cocoAnnotations, cocoDocument, encodeRle } from "../coco/index.ts";
import { sayEmbedded } from "../embedded.ts";
import { UsageError } from "../errors.ts";
import { addModelFlags, type ModelFlags, modelFlag } from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import type { Io } from "../io.ts";
import { maskPictures } from "../mask-files.ts";
import { maskArea, maskBox } from "../mask-shape.ts";
import { openModelFolder } from "../model-folder.ts";
import type { SegmentedOutput, SegmentOutput } from "../output.ts";
import { checkOutputs, savedFiles, writeOutputs } from "../output-files.ts";
import {
  addOptions,
  boxFlag,
  checkBoxesWithin,
  checkPointsWithin,
  type ObjectFileFlags,
  type Point,
  pointFlag,
  saveCocoFlag,
  saveMasksFlag,
  savePictureFlag,
} from "../picture-flags.ts";
import { type DrawnObject, drawObjects } from "../pictures/index.ts";
import { withProgress } from "../progress.ts";
import { report } from "../report.ts";
import { Stopwatch } from "../stopwatch.ts";
import { floatDTypes, settleDtype } from "../weight-dtype.ts";

interface SegmentFlags extends ModelFlags, ObjectFileFlags {
  readonly box?: readonly Box[];
  readonly point?: readonly Point[];
}

type Prompt = SegmentedOutput["prompt"];

/** `mask-llava segment`: masks of what boxes and points show. */
export function segmentCommand(io: Io): Command {
  const command = new Command("segment")
    .description("cut objects out of a picture with Segment Anything")
    .argument("<image>", "picture file: JPEG, PNG, GIF, WebP, TIFF or AVIF")
    .addOption(
      modelFlag("checkpoint folder of a SAM model in Hugging Face's layout (default: the embedded one)"),
    );
  return addOptions(
    addModelFlags(command, floatDTypes),
    boxFlag("a box around an object, in pixels: a prompt of its own"),
    pointFlag("a point, in pixels, with label 1 on the object or 0 beside it: all points are one prompt"),
    savePictureFlag("the picture with its masks"),
    saveMasksFlag(),
    saveCocoFlag("the masks"),
  )
    .addHelpText(
      "after",
      `
Of the three masks of each prompt, the one of the best predicted overlap is told. On stdout: a line a prompt, boxes first:
predicted overlap (IoU), share of the picture inside, and the box x0 y0 x1 y1 around the mask in pixels.
--save-tensors writes pixel_values, image_embeddings, pred_masks and iou_scores of all masks, and mask_logits at the
picture's own size.

Examples:
  mask-llava segment truck.jpg --model sam-vit-base --box 75,275,1725,850
  mask-llava segment truck.jpg --model sam-vit-base --point 500,375,1 --point 1125,625,0 --save-picture truck.png
  mask-llava segment truck.jpg --model sam-vit-base --box 75,275,1725,850 --save-masks masks --save-coco masks.json`,
    )
    .action((image: string, flags: SegmentFlags) => segment(image, flags, io));
}

async function segment(image: string, flags: SegmentFlags, io: Io): Promise<void> {
  const watch = new Stopwatch();
  const { box: boxes = [], point: points = [] } = flags;
  if (boxes.length === 0 && points.length === 0) {
    throw new UsageError("segment needs to be shown what to cut out: --box x0,y0,x1,y1 or --point x,y,label");
  }
  await checkOutputs(flags, [image]);
  const { folder } = await openModelFolder(flags.model, ["sam"]);
  sayEmbedded(flags, io);
  const picture = await watch.time("decodeImage", () => decodeImage(image));
  const named = { file: image, width: picture.width, height: picture.height };
  checkBoxesWithin(boxes, named);
  checkPointsWithin(points, named);
  const prompts: Prompt[] = [...boxes.map((box) => ({ box })), ...(points.length > 0 ? [{ points }] : [])];
  await withDevice(flags, io, watch, async (device) => {
    const settled = await settleDtype(device, flags, folder, io, floatDTypes);
    using model = await watch.time("load", () =>
      withProgress(io.stderr, "loading", (onProgress) =>
        Sam.load(device, folder, { dtype: settled.dtype, signal: io.signal, onProgress }),
      ),
    );
    using encoded = await watch.time("image", () => model.encode(picture));
    io.signal.throwIfAborted();
    const all = flags.saveTensors !== undefined;
    const decoded = await watch.time("masks", async () => {
      // a prompt of points has no box, so that boxes and points are decoded apart
      const parts: Decoded[] = [];
      if (boxes.length > 0) parts.push(await decode(model, encoded, { boxes }, all));
      if (points.length > 0) parts.push(await decode(model, encoded, { points: [points] }, all));
      return joined(parts);
    });
    io.signal.throwIfAborted();
    const masks = decoded.best;
    const results = masks.map((mask, i) => describe(mask, prompts[i] as Prompt, decoded, i, picture));
    const coco = cocoDocument(named, ["object"], cocoAnnotations(results.map(cocoObject)));
    const embeddings = all ? await model.readEmbedding(encoded) : undefined;
    await writeOutputs(
      flags,
      {
        tensors: () => ({
          pixel_values: { shape: encoded.processed.shape, data: encoded.processed.pixelValues },
          ...(embeddings && { image_embeddings: embeddings }),
          ...(decoded.predMasks && { pred_masks: decoded.predMasks }),
          iou_scores: decoded.iouScores,
          ...(decoded.maskLogits && { mask_logits: decoded.maskLogits }),
        }),
        picture: () =>
          drawObjects(
            picture,
            results.map((result, i) => drawn(result, masks[i] as Uint8Array)),
            {
              title: `${masks.length} ${masks.length === 1 ? "mask" : "masks"} in ${basename(image)}`,
              lines: [
                `${basename(folder.name)} · the best mask of each prompt with its predicted overlap (IoU)`,
              ],
            },
          ),
        coco: () => coco,
        masks: () => maskPictures(masks.map((data) => ({ ...named, data }))),
      },
      io.signal,
    );
    const output: SegmentOutput = {
      command: "segment",
      ...(await commonOutput(device, settled, watch)),
      ...savedFiles(flags),
      picture: named,
      masks: results,
      coco,
    };
    report(output, results.map((result) => formatMask(result, picture)).join(""), flags, io);
  });
}

/** Masks of several prompts. */
interface Decoded {
  /** [P, K] */
  readonly iouScores: SamValues;
  /** Which mask of each prompt is the best. */
  readonly indices: readonly number[];
  /** The best mask of each, 0 or 1. [H, W] */
  readonly best: readonly Uint8Array[];
  /** Where all is asked for. [P, K, h, w] */
  readonly predMasks: SamValues | undefined;
  /** Where all is asked for. [P, K, H, W] */
  readonly maskLogits: SamValues | undefined;
}

async function decode(model: Sam, image: SamImage, prompts: SamPrompts, all: boolean): Promise<Decoded> {
  using masks = await model.decode(image, prompts);
  const best: Uint8Array[] = [];
  await masks.visitBestMasks((mask) => best.push(mask));
  return {
    iouScores: masks.iouScores,
    indices: masks.best().indices,
    best,
    predMasks: all ? await masks.readPredMasks() : undefined,
    maskLogits: all ? await masks.readMaskLogits() : undefined,
  };
}

function joined(parts: readonly Decoded[]): Decoded {
  const whole = (values: readonly (SamValues | undefined)[]) => {
    const given = values.filter((value) => value !== undefined);
    return given.length === parts.length ? stacked(given) : undefined;
  };
  return {
    iouScores: stacked(parts.map(({ iouScores }) => iouScores)),
    indices: parts.flatMap(({ indices }) => indices),
    best: parts.flatMap(({ best }) => best),
    predMasks: whole(parts.map(({ predMasks }) => predMasks)),
    maskLogits: whole(parts.map(({ maskLogits }) => maskLogits)),
  };
}

/** Along the first axis. */
function stacked(parts: readonly SamValues[]): SamValues {
  const [first, ...others] = parts as [SamValues, ...SamValues[]];
  if (others.length === 0) return first;
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  const rows = parts.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
  return { shape: [rows, ...first.shape.slice(1)], data };
}

function describe(
  mask: Uint8Array,
  prompt: Prompt,
  decoded: Decoded,
  index: number,
  size: Pixels,
): SegmentedOutput {
  const { shape, data } = decoded.iouScores;
  const perPrompt = shape[1] as number;
  return {
    prompt,
    iouScores: [...data.subarray(index * perPrompt, (index + 1) * perPrompt)],
    best: decoded.indices[index] as number,
    area: maskArea(mask),
    box: maskBox(mask, size) ?? null,
    mask: encodeRle({ width: size.width, height: size.height, data: mask }),
  };
}

function bestScore({ iouScores, best }: SegmentedOutput): number {
  return iouScores[best] as number;
}

function cocoObject(result: SegmentedOutput): CocoObject {
  const { box, area, mask } = result;
  return { box: box ?? [0, 0, 0, 0], score: bestScore(result), category: 0, mask: { rle: mask, area } };
}

function promptName(prompt: Prompt): string {
  if ("box" in prompt) return `box ${prompt.box.join(",")}`;
  return prompt.points.length === 1 ? "1 point" : `${prompt.points.length} points`;
}

function drawn(result: SegmentedOutput, mask: Uint8Array): DrawnObject {
  const { prompt } = result;
  return {
    mask,
    name: promptName(prompt),
    score: bestScore(result),
    ...("box" in prompt ? { box: prompt.box } : { points: prompt.points }),
  };
}

function formatMask(result: SegmentedOutput, { width, height }: Pixels): string {
  const share = ((100 * result.area) / (width * height)).toFixed(1);
  const around = result.box ? result.box.join(" ") : "empty";
  return `${bestScore(result).toFixed(3)}  ${share.padStart(5)}%  ${around}  (${promptName(result.prompt)})\n`;
}
