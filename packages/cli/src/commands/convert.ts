import { type ConvertDType, convertDTypes } from "@mask-llava/models";
import { type ConvertedCheckpoint, convertCheckpoint } from "@mask-llava/models/node";
import { formatBytes } from "@mask-llava/runtime";
import { Command, Option } from "commander";
import {
  adapterFlag,
  jsonFlag,
  type ModelFlags,
  memoryFlag,
  mmprojFlag,
  modelFlag,
  outFolderFlag,
  verboseFlag,
} from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import { type Io, say } from "../io.ts";
import { openAnyFolder } from "../model-folder.ts";
import { checkOutFolder } from "../out-folder.ts";
import type { ConvertOutput } from "../output.ts";
import { withProgress } from "../progress.ts";
import { reportCost } from "../report.ts";
import { Stopwatch } from "../stopwatch.ts";

interface ConvertFlags extends ModelFlags {
  readonly model: string;
  readonly mmproj?: string;
  readonly dtype: ConvertDType;
  readonly out: string;
}

/** `mask-llava convert`: a checkpoint that loads without being quantised again. */
export function convertCommand(io: Io): Command {
  return new Command("convert")
    .description("write a checkpoint as f16, q8 or q4: what is loaded, ready to be loaded")
    .addOption(modelFlag("checkpoint folder in Hugging Face's layout, or a GGUF file").makeOptionMandatory())
    .addOption(mmprojFlag())
    .addOption(
      new Option("--dtype <type>", "type of the weights; q8 and q4 quantise the language model's")
        .choices(convertDTypes)
        .makeOptionMandatory(),
    )
    .addOption(outFolderFlag())
    .addOption(adapterFlag())
    .addOption(memoryFlag())
    .addOption(jsonFlag())
    .addOption(verboseFlag())
    .addHelpText(
      "after",
      `
Writes config.json, the weights as safetensors (files of at most 5 GB), and the tokenizer, template and processor files.
The GPU quantises as loading with that --dtype does, so that the new checkpoint gives the same weights, bit by bit. A
quantised weight NAME is stored as NAME.quants and NAME.scales; config.json says so in quantization_config. Weights of a
GGUF file that are quantised already keep their numbers where they have no more bits than are asked for. Of a Mask-LLaVA
checkpoint, its language folder can be converted.

Examples:
  mask-llava convert --model llava-1.5-7b-hf --dtype q4 --out llava-1.5-7b-q4
  mask-llava convert --model llama-7b.Q8_0.gguf --dtype q8 --out llama-7b-q8
  mask-llava convert --model llava-v1.5-7b-Q4_K_M.gguf --mmproj mmproj-model-f16.gguf --dtype q4 --out llava-q4 --json`,
    )
    .action((flags: ConvertFlags) => convert(flags, io));
}

async function convert(flags: ConvertFlags, io: Io): Promise<void> {
  const { model, mmproj, dtype, out } = flags;
  const watch = new Stopwatch();
  await checkOutFolder(out);
  const folder = await openAnyFolder(model, mmproj);
  await withDevice(flags, io, watch, async (device) => {
    const converted = await watch.time("convert", () =>
      withProgress(io.stderr, "converting", (onProgress) =>
        convertCheckpoint(device, folder, dtype, out, { signal: io.signal, onProgress }),
      ),
    );
    const output: ConvertOutput = {
      command: "convert",
      ...(await commonOutput(device, flags, watch)),
      out,
      ...converted,
    };
    io.stdout.write(flags.json ? `${JSON.stringify(output)}\n` : describe(converted));
    say(io, `${formatBytes(converted.bytes)} of weights written to ${out}`);
    reportCost(output, flags, io);
  });
}

function describe({ files, tensors }: ConvertedCheckpoint): string {
  const kinds = Object.entries(tensors).map(([dtype, n]) => `${n} in ${dtype}`);
  return `tensors: ${kinds.join(", ")}\nfiles: ${files.join(", ")}\n`;
}
