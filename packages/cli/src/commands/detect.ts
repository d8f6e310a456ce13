import { basename } from "node:path";
import { type Box, DeformableDetr, type Detection } from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import { Command, Option } from "commander";
import { cocoAnnotations, cocoDocument } from "../coco/index.ts";
import { sayEmbedded } from "../embedded.ts";
import { UsageError } from "../errors.ts";
import { addModelFlags, type ModelFlags, modelFlag, numberParser } from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import { type Io, say } from "../io.ts";
import { openModelFolder } from "../model-folder.ts";
import type { DetectedOutput, DetectOutput } from "../output.ts";
import { checkOutputs, savedFiles, writeOutputs } from "../output-files.ts";
import { addOptions, type ObjectFileFlags, saveCocoFlag, savePictureFlag } from "../picture-flags.ts";
import { drawObjects } from "../pictures/index.ts";
import { withProgress } from "../progress.ts";
import { report } from "../report.ts";
import type { SavedTensors } from "../save-tensors.ts";
import { Stopwatch } from "../stopwatch.ts";
import { floatDTypes, settleDtype } from "../weight-dtype.ts";

interface DetectFlags extends ModelFlags, ObjectFileFlags {
  readonly threshold?: number;
  readonly topK?: number;
  readonly nms?: number;
}

const defaults = { threshold: { objects: 0.3, classes: 0.5 }, nms: 0.7 } as const;
const share = { integer: false, least: 0, most: 1 } as const;

/** `mask-llava detect`: boxes of a picture's objects. */
export function detectCommand(io: Io): Command {
  const command = new Command("detect")
    .description("find the objects of a picture with Deformable DETR")
    .argument("<image>", "picture file: JPEG, PNG, GIF, WebP, TIFF or AVIF")
    .addOption(
      modelFlag(
        "checkpoint folder of a Deformable DETR model in Hugging Face's layout (default: the embedded one)",
      ),
    )
    .addOption(
      new Option(
        "--threshold <t>",
        `keep what scores more, 0 to 1 (default: ${defaults.threshold.objects}; with --top-k ${defaults.threshold.classes})`,
      ).argParser(numberParser(share)),
    )
    .addOption(
      new Option(
        "--top-k <k>",
        "the k best pairs of box and class instead of one box an object, as transformers' post-processing",
      ).argParser(numberParser({ integer: true, least: 1, most: 2 ** 31 - 1 })),
    )
    .addOption(
      new Option(
        "--nms <iou>",
        `of two boxes that overlap by more, keep the better; 1 keeps all (default: ${defaults.nms})`,
      ).argParser(numberParser(share)),
    );
  return addOptions(
    addModelFlags(command, floatDTypes),
    savePictureFlag("the picture with its boxes"),
    saveCocoFlag("the boxes"),
  )
    .addHelpText(
      "after",
      `
On stdout: a line an object, best first: score, class, and the box x0 y0 x1 y1 in pixels.
--save-tensors writes pixel_values, logits, pred_boxes, encoder_last_hidden_state, last_hidden_state and, as told, scores,
labels and boxes.

Examples:
  mask-llava detect street.jpg --model deformable-detr
  mask-llava detect street.jpg --model deformable-detr --threshold 0.5 --save-picture boxes.png --save-coco boxes.json
  mask-llava detect street.jpg --model deformable-detr --threshold 0 --top-k 10 --json`,
    )
    .action((image: string, flags: DetectFlags) => detect(image, flags, io));
}

async function detect(image: string, flags: DetectFlags, io: Io): Promise<void> {
  const watch = new Stopwatch();
  if (flags.topK !== undefined && flags.nms !== undefined) {
    throw new UsageError(
      "--top-k tells pairs of box and class as they are, which leaves --nms nothing to do",
    );
  }
  await checkOutputs(flags, [image]);
  const { folder } = await openModelFolder(flags.model, ["deformable_detr"]);
  sayEmbedded(flags, io);
  const picture = await watch.time("decodeImage", () => decodeImage(image));
  const named = { file: image, width: picture.width, height: picture.height };
  await withDevice(flags, io, watch, async (device) => {
    const settled = await settleDtype(device, flags, folder, io, floatDTypes);
    using model = await watch.time("load", () =>
      withProgress(io.stderr, "loading", (onProgress) =>
        DeformableDetr.load(device, folder, { dtype: settled.dtype, signal: io.signal, onProgress }),
      ),
    );
    const states = flags.saveTensors !== undefined;
    const detection = await watch.time("detect", () => model.detect(picture, { states }));
    io.signal.throwIfAborted();
    const { labels } = model.config;
    const { detections, words } = select(model, detection, flags);
    const coco = cocoDocument(
      named,
      labels,
      cocoAnnotations(detections.map(({ box, score, label }) => ({ box, score, category: label }))),
    );
    const count =
      detections.length === 0
        ? "No objects"
        : `${detections.length} ${detections.length === 1 ? "object" : "objects"}`;
    const heading = {
      title: `${count} in ${basename(image)}`,
      lines: [`${basename(folder.name)} · ${words}`],
    };
    await writeOutputs(
      flags,
      {
        tensors: () => tensorsOf(detection, detections),
        picture: () => drawObjects(picture, detections, heading),
        coco: () => coco,
      },
      io.signal,
    );
    const output: DetectOutput = {
      command: "detect",
      ...(await commonOutput(device, settled, watch)),
      ...savedFiles(flags),
      picture: named,
      view: flags.topK === undefined ? "objects" : "classes",
      detections,
      coco,
    };
    report(output, detections.map(formatDetection).join(""), flags, io);
    if (detections.length === 0) say(io, `no objects were found (${words})`);
  });
}

/** What the flags ask to see, and that in words. */
function select(
  model: DeformableDetr,
  detection: Detection,
  { threshold, topK, nms }: DetectFlags,
): { detections: DetectedOutput[]; words: string } {
  const name = (label: number) => model.config.labels[label] ?? String(label);
  if (topK === undefined) {
    const options = { threshold: threshold ?? defaults.threshold.objects, nmsIou: nms ?? defaults.nms };
    const objects = model.objects(detection, options);
    return {
      detections: objects.map(({ box, score, label }) => ({ box, score, label, name: name(label) })),
      words: `scores above ${options.threshold} · boxes that overlap a better one by more than ${options.nmsIou} left out`,
    };
  }
  const least = threshold ?? defaults.threshold.classes;
  const { scores, labels, boxes } = model.postProcess(detection, { threshold: least, topK });
  const detections = Array.from(scores, (score, i): DetectedOutput => {
    const label = labels[i] as number;
    return { box: [...boxes.subarray(4 * i, 4 * i + 4)] as unknown as Box, score, label, name: name(label) };
  });
  return { detections, words: `the ${topK} best pairs of box and class · scores above ${least}` };
}

function tensorsOf({ processed, output }: Detection, detections: readonly DetectedOutput[]): SavedTensors {
  const { logits, predBoxes, encoderLastHiddenState, lastHiddenState } = output;
  const count = detections.length;
  return {
    pixel_values: { shape: processed.shape, data: processed.pixelValues },
    logits,
    pred_boxes: predBoxes,
    ...(encoderLastHiddenState && { encoder_last_hidden_state: encoderLastHiddenState }),
    ...(lastHiddenState && { last_hidden_state: lastHiddenState }),
    scores: { shape: [count], data: Float32Array.from(detections, ({ score }) => score) },
    labels: { shape: [count], data: Int32Array.from(detections, ({ label }) => label) },
    boxes: { shape: [count, 4], data: Float32Array.from(detections.flatMap(({ box }) => [...box])) },
  };
}

function formatDetection({ score, name, box }: DetectedOutput): string {
  return `${score.toFixed(3)}  ${name}  ${box.map((v) => v.toFixed(1)).join(" ")}\n`;
}
