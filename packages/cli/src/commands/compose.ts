import { MaskLlava } from "@mask-llava/composer";
import { decodeImage, WorkerTemplateRenderer } from "@mask-llava/models/node";
import { Command } from "commander";
import {
  addBudgetFlags,
  type BudgetFlags,
  budgetOptions,
  checkBudgetFlags,
  dropSeedFlag,
  withBudgetNamed,
} from "../budget-flags.ts";
import {
  type Composition,
  compositionCoco,
  compositionFiles,
  compositionOutput,
  compositionTensors,
  describeTokens,
} from "../composition.ts";
import { sayEmbedded } from "../embedded.ts";
import { UsageError } from "../errors.ts";
import { addModelFlags, type ModelFlags, modelFlag } from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import type { Io } from "../io.ts";
import { requireMaskLlavaFolder } from "../model-folder.ts";
import type { ComposeOutput, CompositionOutput } from "../output.ts";
import { checkOutputs, savedFiles, writeOutputs } from "../output-files.ts";
import {
  addOptions,
  type ObjectFileFlags,
  saveCocoFlag,
  saveMasksFlag,
  savePictureFlag,
} from "../picture-flags.ts";
import { withProgress } from "../progress.ts";
import { report } from "../report.ts";
import { Stopwatch } from "../stopwatch.ts";
import { settleDtype } from "../weight-dtype.ts";

interface ComposeFlags extends ModelFlags, BudgetFlags, ObjectFileFlags {}

/** `mask-llava compose`: the visual tokens of a picture. */
export function composeCommand(io: Io): Command {
  const command = new Command("compose")
    .description("make the visual tokens of a picture with Mask-LLaVA: [CLS], pooled patches and objects")
    .argument("<image>", "picture file: JPEG, PNG, GIF, WebP, TIFF or AVIF")
    .addOption(modelFlag("checkpoint folder with mask_llava.json (default: the embedded one)"));
  return addOptions(
    addModelFlags(addBudgetFlags(command).addOption(dropSeedFlag())),
    savePictureFlag("a sheet of what each token looks at and which were dropped"),
    saveMasksFlag(),
    saveCocoFlag("the objects"),
  )
    .addHelpText(
      "after",
      `
On stdout: the kept tokens by kind, and a line an object: kept or dropped, score, share of the picture, box.
--save-tensors writes visual_tokens before the projector and visual_embeds behind it, token_kinds (0 [CLS], 1 patch,
2 object, 3 background) and, for the object and background tokens in their order, boxes, masks and object_scores.

Examples:
  mask-llava compose street.jpg --model mask-llava-7b
  mask-llava compose street.jpg --model mask-llava-7b --tokens 64 --drop-policy diverse --save-picture tokens.png
  mask-llava compose street.jpg --model mask-llava-7b --patch-grid 4x4 --objects 8 --no-background --json`,
    )
    .action((image: string, flags: ComposeFlags) => composePicture(image, flags, io));
}

async function composePicture(image: string, flags: ComposeFlags, io: Io): Promise<void> {
  const watch = new Stopwatch();
  checkBudgetFlags(flags);
  if (flags.seed !== undefined && flags.dropPolicy !== "random") {
    throw new UsageError("--seed has a meaning only with --drop-policy random");
  }
  await checkOutputs(flags, [
    image,
    ...(flags.mask ?? []),
    ...(flags.boxes === undefined ? [] : [flags.boxes]),
  ]);
  const folder = await requireMaskLlavaFolder(flags.model);
  sayEmbedded(flags, io);
  const picture = await watch.time("decodeImage", () => decodeImage(image));
  const named = { file: image, width: picture.width, height: picture.height };
  const options = await budgetOptions(flags, named);
  await withDevice(flags, io, watch, async (device) => {
    const settled = await settleDtype(device, flags, folder, io);
    using model = await watch.time("load", () =>
      withProgress(io.stderr, "loading", (onProgress) =>
        MaskLlava.load(device, folder, {
          dtype: settled.dtype,
          signal: io.signal,
          onProgress,
          templates: new WorkerTemplateRenderer(),
        }),
      ),
    );
    const composed = await withBudgetNamed(flags, () =>
      model.compose(picture, { ...options, signal: io.signal }),
    );
    for (const [stage, milliseconds] of Object.entries(composed.timings)) watch.add(stage, milliseconds);
    const composition: Composition = { picture, named, composed, settings: model.settings };
    const told = compositionOutput(composition);
    const coco = compositionCoco(composition, told);
    const outputs = {
      tensors: () => compositionTensors(composition),
      ...compositionFiles(composition, coco, flags, []),
    };
    await writeOutputs(flags, outputs, io.signal);
    const output: ComposeOutput = {
      command: "compose",
      ...(await commonOutput(device, settled, watch)),
      ...savedFiles(flags),
      picture: named,
      composition: told,
      coco,
    };
    report(output, `${describeTokens(composed, flags)}\n${formatObjects(told)}`, flags, io);
  });
}

function formatObjects({ objects }: CompositionOutput): string {
  return objects
    .map(({ kind, kept, score, area, box }) => {
      const state = kept ? "kept   " : "dropped";
      const words = kind === "background" ? "background" : score.toFixed(3).padEnd(10);
      const share = `${(100 * area).toFixed(1).padStart(5)}%`;
      return `${state}  ${words}  ${share}  ${box.map((v) => v.toFixed(1)).join(" ")}\n`;
    })
    .join("");
}
