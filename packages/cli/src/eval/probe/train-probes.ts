import type { MaskLlava } from "@mask-llava/composer";
import { decodeImage } from "@mask-llava/models/node";
import type { OnProgress } from "../../progress.ts";
import type { EvalPicture } from "../dataset.ts";
import { type ProbedObject, probedObjects } from "./object-features.ts";
import { Probes } from "./probes.ts";

/** Trains probes on the objects of scenes that a checkpoint finds. Throws where it finds none. */
export async function trainProbes(
  maskLlava: MaskLlava,
  pictures: readonly EvalPicture[],
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<Probes> {
  const objects: ProbedObject[] = [];
  for (const [i, { file, objects: truths = [] }] of pictures.entries()) {
    signal.throwIfAborted();
    const analysis = await maskLlava.analyse(await decodeImage(file), { signal });
    objects.push(...probedObjects(truths, analysis, maskLlava.patchSize));
    onProgress(i + 1, pictures.length);
  }
  if (objects.length === 0) {
    throw new Error(
      "--probe-dataset: the checkpoint finds none of the annotated objects, so there is nothing to train on",
    );
  }
  return new Probes(objects);
}
