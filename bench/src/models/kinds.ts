import { clipTower } from "../networks/clip.ts";
import { deformableDetr } from "../networks/deformable-detr.ts";
import { llamaBatches, llamaDecode, llamaDeep, llamaPrefill } from "../networks/llama.ts";
import { samDecoder, samEncoder } from "../networks/sam.ts";
import { maskInversion } from "./mask-inversion.ts";
import { recorded, type WorkloadKind } from "./workload.ts";

/** The networks of a Mask-LLaVA checkpoint, each by itself. */
export const modelKinds: readonly WorkloadKind[] = [
  recorded(clipTower),
  recorded(samEncoder),
  recorded(samDecoder),
  recorded(deformableDetr),
  maskInversion,
  recorded(llamaPrefill),
  recorded(llamaDecode),
  recorded(llamaDeep),
  ...llamaBatches.map(recorded),
];
