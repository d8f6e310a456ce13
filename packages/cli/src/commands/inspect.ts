import { findParts, type MaskLlavaSettings } from "@mask-llava/composer";
import { type CheckpointReport, type Folder, inspectCheckpoint } from "@mask-llava/models";
import { Command } from "commander";
import { ReportedFailure } from "../errors.ts";
import { jsonFlag, mmprojFlag, verboseFlag } from "../flags.ts";
import { formatCheckpoint } from "../format-checkpoint.ts";
import type { Io } from "../io.ts";
import { holdsMaskLlava, openAnyFolder } from "../model-folder.ts";

interface InspectFlags {
  readonly json?: boolean;
  readonly names?: boolean;
  readonly mmproj?: string;
}

/** `mask-llava inspect`: what a checkpoint folder holds and what loading it would take. */
export function inspectCommand(io: Io): Command {
  return new Command("inspect")
    .description(
      "say what a checkpoint folder holds, what would be loaded and how much GPU memory that takes",
    )
    .argument("<model>", "checkpoint folder in Hugging Face's layout, or a GGUF file")
    .option("--names", "list every tensor with its type and shape")
    .addOption(mmprojFlag())
    .addOption(jsonFlag())
    .addOption(verboseFlag())
    .addHelpText(
      "after",
      `
Reads config.json and the headers of the safetensors or GGUF files; needs no GPU. Exit code 1 when the model could not be loaded.

Examples:
  mask-llava inspect llava-1.5-7b-hf
  mask-llava inspect llava-1.5-7b-hf --names
  mask-llava inspect llava-v1.5-7b-Q4_K_M.gguf --mmproj mmproj-model-f16.gguf
  mask-llava inspect clip-vit-large-patch14-336 --json`,
    )
    .action(async (dir: string, flags: InspectFlags) => {
      const folder = await openAnyFolder(dir, flags.mmproj);
      const whole = await inspectMaskLlava(folder);
      const reports = whole ? Object.values(whole.parts) : [await inspectCheckpoint(folder)];
      const names = flags.names ?? false;
      if (flags.json) io.stdout.write(`${JSON.stringify(whole ?? reports[0])}\n`);
      else if (whole) io.stdout.write(formatMaskLlava(whole, { names }));
      else for (const report of reports) io.stdout.write(formatCheckpoint(report, { names }));
      const problems = reports.flatMap((r) =>
        (r.load?.problems ?? []).map((problem) => `${r.folder}: ${problem}`),
      );
      for (const problem of problems.slice(0, 20)) io.stderr.write(`mask-llava: ${problem}\n`);
      if (problems.length > 20) io.stderr.write(`mask-llava: and ${problems.length - 20} problems more\n`);
      if (problems.length > 0) throw new ReportedFailure();
    });
}

interface MaskLlavaReport {
  readonly modelType: "mask_llava";
  readonly settings: MaskLlavaSettings;
  readonly parts: Readonly<Record<string, CheckpointReport>>;
}

/** A report of each network, where the folder holds a Mask-LLaVA checkpoint. */
async function inspectMaskLlava(folder: Folder): Promise<MaskLlavaReport | undefined> {
  if (!(await holdsMaskLlava(folder))) return undefined;
  const { settings, vision, detector, segmenter, language } = await findParts(folder);
  const parts: Record<string, CheckpointReport> = {};
  for (const [name, part] of Object.entries({ vision, detector, segmenter, language })) {
    if (part) parts[name] = await inspectCheckpoint(part);
  }
  return { modelType: "mask_llava", settings, parts };
}

function formatMaskLlava({ settings, parts }: MaskLlavaReport, options: { names: boolean }): string {
  const own = `settings\n${JSON.stringify(settings, null, 2).replace(/^/gm, "  ")}\n`;
  const networks = Object.entries(parts).map(
    ([name, report]) => `\n${name}\n${formatCheckpoint(report, options)}`,
  );
  return own + networks.join("");
}
