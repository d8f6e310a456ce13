import { formatBytes } from "@mask-llava/runtime";
import { Command, Option } from "commander";
import { jsonFlag, numberParser, outFolderFlag, verboseFlag } from "../flags.ts";
import { type Io, say } from "../io.ts";
import { checkOutFolder } from "../out-folder.ts";
import { withProgress } from "../progress.ts";
import { generatorVersion, imageSizes, type Split, splits, writeDataset } from "../scenes/index.ts";
import { Stopwatch } from "../stopwatch.ts";

interface ScenesFlags {
  readonly seed: number;
  readonly count: number;
  readonly out: string;
  readonly split: Split;
  readonly imageSize: number;
  readonly rounds: number;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** `mask-llava scenes`: pictures with labels and questions, that nobody has seen. */
export function scenesCommand(io: Io): Command {
  const { least, most } = imageSizes;
  return new Command("scenes")
    .description(
      "draw labelled scenes with questions and answers: a data set to train and to test on; needs no GPU",
    )
    .addOption(
      new Option("--seed <n>", "seed of the data set; the same seed draws the same scenes")
        .argParser(numberParser({ integer: true, least: 0, most: 2 ** 32 - 1 }))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--count <n>", "number of scenes")
        .argParser(numberParser({ integer: true, least: 1, most: 1e6 }))
        .makeOptionMandatory(),
    )
    .addOption(outFolderFlag())
    .addOption(
      new Option("--split <name>", "which scenes: those of one split are in no other")
        .choices(splits)
        .default("test"),
    )
    .addOption(
      new Option("--image-size <pixels>", `side of the pictures, ${least} to ${most}`)
        .argParser(numberParser({ integer: true, least, most }))
        .default(imageSizes.default),
    )
    .addOption(
      new Option(
        "--rounds <n>",
        "rounds of questions a scene, each at most nine; more rounds add to the same first one",
      )
        .argParser(numberParser({ integer: true, least: 1, most: 32 }))
        .default(1),
    )
    .addOption(jsonFlag())
    .addOption(verboseFlag())
    .addHelpText(
      "after",
      `
Writes DIR/dataset.json, DIR/images/000000.jpg and so on, and DIR/annotations.jsonl: a line a scene with its objects (shape,
colour, size, box and full_box in pixels, the visible mask as COCO run lengths), a caption, and questions with answers.
Scene i is drawn from SHA-256 of the generator's version, --seed, --split and i: a larger --count adds scenes to the same
first ones, and train, validation and test share none. Pixels and annotations are the same on every machine; the bytes of
the JPEG files are those of the libjpeg that the lock file pins.

Examples:
  mask-llava scenes --seed 7 --count 500 --out scenes
  mask-llava scenes --seed 0 --count 20000 --split train --out train --json`,
    )
    .action((flags: ScenesFlags) => drawScenes(flags, io));
}

async function drawScenes(flags: ScenesFlags, io: Io): Promise<void> {
  const { seed, count, out, split, imageSize, rounds } = flags;
  const watch = new Stopwatch();
  await checkOutFolder(out);
  const totals = await watch.time("draw", () =>
    withProgress(
      io.stderr,
      "drawing",
      (onProgress) =>
        writeDataset(out, { seed, count, split, imageSize, rounds }, { signal: io.signal, onProgress }),
      (scenes) => `${scenes} scenes`,
    ),
  );
  const questions = Object.values(totals.questions).reduce((sum, n) => sum + n, 0);
  if (flags.json) {
    const output = {
      command: "scenes",
      out,
      seed,
      split,
      count,
      imageSize,
      rounds,
      generatorVersion,
      ...totals,
    };
    io.stdout.write(`${JSON.stringify({ ...output, timings: watch.report() })}\n`);
  } else {
    const kinds = Object.entries(totals.questions).map(
      ([kind, n]) => `  ${kind.padEnd(12)}${String(n).padStart(8)}\n`,
    );
    io.stdout.write(`${count} scenes, ${totals.objects} objects, ${questions} questions\n${kinds.join("")}`);
  }
  say(io, `${formatBytes(totals.bytes)} written to ${out}`);
}
