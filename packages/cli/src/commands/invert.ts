import { basename } from "node:path";
import { Clip, type HostMask, MaskInversion, type PictureInversion } from "@mask-llava/models";
import { decodeImage, readMask } from "@mask-llava/models/node";
import { Command, Option } from "commander";
import { sayEmbedded } from "../embedded.ts";
import { UsageError } from "../errors.ts";
import { addModelFlags, filledText, listFlag, type ModelFlags, modelFlag, numberParser } from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import { type Io, say } from "../io.ts";
import { openModelFolder } from "../model-folder.ts";
import type { InvertOutput } from "../output.ts";
import { checkOutputs, savedFiles, writeOutputs } from "../output-files.ts";
import { addOptions, savePictureFlag } from "../picture-flags.ts";
import { drawInversions } from "../pictures/index.ts";
import { withProgress } from "../progress.ts";
import { report } from "../report.ts";
import type { SavedTensors } from "../save-tensors.ts";
import { Stopwatch } from "../stopwatch.ts";
import { floatDTypes, settleDtype } from "../weight-dtype.ts";

interface InvertFlags extends ModelFlags {
  readonly mask?: readonly string[];
  readonly imageSize?: number;
  readonly iterations: number;
  readonly lr: number;
  readonly alpha: number;
  readonly weightDecay: number;
  readonly layer: number;
  readonly savePicture?: string;
}

/** `mask-llava invert`: an embedding for each mask of a picture. */
export function invertCommand(io: Io): Command {
  const command = new Command("invert")
    .description("find the CLIP embedding of each masked region of a picture with MaskInversion")
    .argument("<image>", "picture file: JPEG, PNG, GIF, WebP, TIFF or AVIF")
    .addOption(
      modelFlag("checkpoint folder of a CLIP model in Hugging Face's layout (default: the embedded one)"),
    )
    .addOption(
      listFlag(
        "--mask <file>",
        "a mask of the picture's size: white inside, black outside",
        filledText("a mask file"),
      ),
    )
    .addOption(
      new Option(
        "--image-size <s>",
        "side of the square that the picture is resized to (default: the model's own; the paper's example: 448)",
      ).argParser(numberParser({ integer: true, least: 1, most: 2 ** 14 })),
    )
    .addOption(
      new Option("--iterations <n>", "steps")
        .default(10)
        .argParser(numberParser({ integer: true, least: 1, most: 100_000 })),
    )
    .addOption(
      new Option("--lr <rate>", "learning rate")
        .default(0.1)
        .argParser(numberParser({ integer: false, least: 0, above: true, most: 1e6 })),
    )
    .addOption(
      new Option("--alpha <a>", "how strongly an embedding is held to the picture's")
        .default(0)
        .argParser(numberParser({ integer: false, least: 0, most: 1e6 })),
    )
    .addOption(
      new Option("--weight-decay <w>", "AdamW's weight decay")
        .default(0)
        .argParser(numberParser({ integer: false, least: 0, most: 1e6 })),
    )
    .addOption(
      new Option(
        "--layer <l>",
        "first block whose attention is explained: -1 is the last, -2 the last two, ...",
      )
        .default(-1)
        .argParser(numberParser({ integer: true, least: -1000, most: 1000 })),
    );
  return addOptions(
    addModelFlags(command, floatDTypes),
    savePictureFlag("each mask with the explainability maps before and after"),
  )
    .addHelpText(
      "after",
      `
On stdout: a line a mask, with its dice loss before the first and before the last step.
--save-tensors writes pixel_values, initial_embedding, embeddings, first_explainability_maps, explainability_maps and
dice_losses.

Examples:
  mask-llava invert pets.jpg --model clip-vit-base-patch16 --mask cat.png --mask dog.png
  mask-llava invert pets.jpg --model clip-vit-base-patch16 --mask cat.png --image-size 448 --lr 0.5 --save-picture maps.png`,
    )
    .action((image: string, flags: InvertFlags) => invert(image, flags, io));
}

async function invert(image: string, flags: InvertFlags, io: Io): Promise<void> {
  const watch = new Stopwatch();
  const { mask: files = [], imageSize, layer, iterations, lr, alpha, weightDecay } = flags;
  if (files.length === 0)
    throw new UsageError("invert needs at least one --mask FILE: the region to describe");
  await checkOutputs(flags, [image, ...files]);
  const { folder } = await openModelFolder(flags.model, ["clip"]);
  sayEmbedded(flags, io);
  const picture = await watch.time("decodeImage", () => decodeImage(image));
  const masks = await watch.time("decodeMasks", () => Promise.all(files.map((file) => readMask(file))));
  for (const [i, { width, height }] of masks.entries()) {
    if (width === picture.width && height === picture.height) continue;
    throw new UsageError(
      `--mask ${files[i]}: is ${width}x${height}, expected the picture's ${picture.width}x${picture.height}`,
    );
  }
  for (const [i, { data }] of masks.entries()) {
    if (data.every((v) => v === 0))
      say(io, `--mask ${files[i]}: nothing is inside, so that there is nothing to find`);
  }
  await withDevice(flags, io, watch, async (device) => {
    const settled = await settleDtype(device, flags, folder, io, floatDTypes);
    using clip = await watch.time("load", () =>
      withProgress(io.stderr, "loading", (onProgress) =>
        Clip.load(device, folder, { dtype: settled.dtype, signal: io.signal, onProgress }),
      ),
    );
    using inverter = new MaskInversion(clip, { layer, ...(imageSize !== undefined && { imageSize }) });
    const inversion = await watch.time("invert", () =>
      inverter.invert({ picture, masks }, { iterations, lr, alpha, weightDecay, signal: io.signal }),
    );
    io.signal.throwIfAborted();
    const results = masks.map((_, i) => ({
      file: files[i] as string,
      diceLosses: row(inversion.maskDiceLosses, i),
      embedding: row(inversion.embeddings, i),
    }));
    const named = { file: image, width: picture.width, height: picture.height };
    const losses = [...inversion.diceLosses];
    await writeOutputs(
      flags,
      {
        tensors: () => tensorsOf(inversion),
        picture: () =>
          drawInversions(
            picture,
            results.map(({ file, diceLosses }, i) => ({
              name: basename(file),
              mask: masks[i] as HostMask,
              firstMap: map(inversion.firstExplainabilityMaps, i),
              map: map(inversion.explainabilityMaps, i),
              losses: diceLosses,
            })),
            {
              title: `MaskInversion of ${masks.length} ${masks.length === 1 ? "mask" : "masks"} in ${basename(image)}`,
              lines: [
                `${basename(folder.name)} at ${inversion.pixelValues.shape[3]} pixels · ${iterations} steps · learning rate ${lr} · mean dice loss ${losses[0]?.toFixed(3)} → ${losses.at(-1)?.toFixed(3)}`,
              ],
            },
          ),
      },
      io.signal,
    );
    const output: InvertOutput = {
      command: "invert",
      ...(await commonOutput(device, settled, watch)),
      ...savedFiles(flags),
      picture: named,
      masks: results,
      diceLosses: losses,
    };
    const lines = results.map(
      ({ file, diceLosses }) => `${diceLosses[0]?.toFixed(4)} -> ${diceLosses.at(-1)?.toFixed(4)}  ${file}\n`,
    );
    report(output, lines.join(""), flags, io);
  });
}

interface HostValues {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

function row({ shape, data }: HostValues, index: number): number[] {
  const width = shape[1] as number;
  return [...data.subarray(index * width, (index + 1) * width)];
}

function map(maps: HostValues | undefined, index: number): HostMask {
  if (!maps) throw new Error("the inversion gave no explainability maps");
  const [, height, width] = maps.shape as [number, number, number];
  const size = height * width;
  return { height, width, data: maps.data.subarray(index * size, (index + 1) * size) };
}

function tensorsOf(inversion: PictureInversion): SavedTensors {
  const { pixelValues, initialEmbedding, embeddings, diceLosses } = inversion;
  const { firstExplainabilityMaps: first, explainabilityMaps: last } = inversion;
  return {
    pixel_values: pixelValues,
    initial_embedding: initialEmbedding,
    embeddings,
    ...(first && { first_explainability_maps: first }),
    ...(last && { explainability_maps: last }),
    dice_losses: { shape: [diceLosses.length], data: diceLosses },
  };
}
