import type { GenerateControls, Generation, GenerationOptions } from "@mask-llava/models";
import { UsageError } from "./errors.ts";
import type { GenerationFlags, ModelFlags } from "./flags.ts";
import type { Io } from "./io.ts";
import { idTensor, type SavedTensors } from "./save-tensors.ts";
import { cacheDtype, type Settled } from "./weight-dtype.ts";

/** Throws a UsageError where generation flags contradict each other. */
export function checkGenerationFlags({ temperature, topK, topP }: GenerationFlags): void {
  if (temperature !== 0) return;
  const idle = topK !== undefined ? "--top-k" : topP !== undefined ? "--top-p" : undefined;
  if (idle) {
    throw new UsageError(
      `--temperature 0 takes the likeliest token, which leaves ${idle} nothing to choose from`,
    );
  }
}

/** The flags as the models take them. The answer streams to stdout unless `--json` is asked for. */
export function generationOptions(
  flags: Settled<GenerationFlags & ModelFlags>,
  io: Io,
): GenerationOptions & GenerateControls {
  const { maxNewTokens, temperature, topK, topP, repetitionPenalty, seed, ignoreEos, stop } = flags;
  return {
    ...(maxNewTokens !== undefined && { maxNewTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    ...(seed !== undefined && { seed }),
    ...(ignoreEos && { ignoreEos }),
    ...(stop && { stop }),
    cacheDtype: cacheDtype(flags),
    signal: io.signal,
    promptLogits: flags.saveTensors !== undefined,
    ...(!flags.json && {
      onText: (piece: string) => void io.stdout.write(io.stdout.isTTY ? printable(piece) : piece),
    }),
  };
}

/** Without control characters but line breaks and tabs: what a model says must not steer the terminal. */
function printable(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, "\ufffd");
}

/** Ends a streamed answer, and the command where it was interrupted. */
export function finishAnswer(flags: ModelFlags, io: Io): void {
  if (!flags.json) io.stdout.write("\n");
  io.signal.throwIfAborted();
}

/** `input_ids`, `logits` of the prompt, and `sequences`. */
export function answerTensors({ inputIds, newIds, promptLogits }: Omit<Generation, "timings">): SavedTensors {
  return {
    input_ids: idTensor(inputIds),
    ...(promptLogits && { logits: promptLogits }),
    sequences: idTensor([...inputIds, ...newIds]),
  };
}
