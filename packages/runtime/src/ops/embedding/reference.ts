import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type EmbeddingInputs, embeddingShape } from "./spec.ts";

export function embeddingReference({ table, ids }: HostTensors<EmbeddingInputs>): HostTensor[] {
  const { rows, width } = embeddingShape({ table, ids });
  const out = new Float64Array(ids.data.length * width);
  ids.data.forEach((id, i) => {
    for (let d = 0; d < width; d++)
      out[i * width + d] = id < rows ? (table.data[id * width + d] as number) : Number.NaN;
  });
  return [hostResult([...ids.shape, width], out)];
}
