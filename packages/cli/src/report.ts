import { formatBytes } from "@mask-llava/runtime";
import type { ModelFlags } from "./flags.ts";
import { type Io, say } from "./io.ts";
import type { CommonOutput, ModelOutput } from "./output.ts";

/** Tells the result: the object of `--json` on stdout, or `human` there; for both, what people want to know on stderr. */
export function report(output: ModelOutput, human: string, flags: ModelFlags, io: Io): void {
  io.stdout.write(flags.json ? `${JSON.stringify(output)}\n` : human);
  if (output.savedTensors !== undefined) say(io, `tensors saved in ${output.savedTensors}`);
  if ("savedPicture" in output) say(io, `picture saved in ${output.savedPicture}`);
  if ("savedMasks" in output) say(io, `masks saved in ${output.savedMasks}`);
  if ("savedCoco" in output) say(io, `COCO JSON saved in ${output.savedCoco}`);
  reportCost(output, flags, io);
}

/** What a run took, where the flags ask for it. */
export function reportCost(output: CommonOutput, flags: Pick<ModelFlags, "verbose">, io: Io): void {
  if (output.profile) io.stderr.write(formatProfile(output.profile));
  if (flags.verbose) say(io, formatCost(output));
}

function formatProfile(profile: NonNullable<CommonOutput["profile"]>): string {
  const lines = profile.map(({ program, op, variant, runs, milliseconds }) =>
    [
      milliseconds.toFixed(3).padStart(12),
      String(runs).padStart(8),
      `  ${program.padEnd(20)}`,
      `${op}/${variant}`,
    ].join(" "),
  );
  const all = profile.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return [
    "      GPU ms     runs   program              op",
    ...lines,
    `${all.toFixed(3).padStart(12)}`,
    "",
  ].join("\n");
}

function formatCost({ timings, memory }: CommonOutput): string {
  const stages = Object.entries(timings).map(([stage, ms]) => `${stage} ${Math.round(ms)} ms`);
  return `${stages.join(", ")}; at most ${formatBytes(memory.peak)} of GPU memory`;
}
