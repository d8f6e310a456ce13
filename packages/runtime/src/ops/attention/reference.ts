import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type AttentionInputs, type AttentionParams, attentionShape, maskedBelow } from "./spec.ts";

/** Plain softmax(scale · q kᵀ + bias) v, one row at a time. */
export function attentionReference(
  inputs: HostTensors<AttentionInputs>,
  params: AttentionParams,
): HostTensor[] {
  const { q, k, v, start, bias, relH, relW } = inputs;
  const { batch, tq, tk, heads, kvHeads, group, size, kh, kw } = attentionShape(inputs, params);
  const out = new Float64Array(batch * tq * heads * size);
  const [biasB, biasH, biasQ] = [0, 1, 2].map((axis) => (bias?.shape[axis] ?? 1) > 1) as [
    boolean,
    boolean,
    boolean,
  ];
  const scores = new Float64Array(tk);
  for (let b = 0; b < batch; b++) {
    const first = start ? (start.data[b] as number) : tk - tq;
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < tq; i++) {
        const at = ((b * tq + i) * heads + h) * size;
        const row = (b * heads + h) * tq + i;
        const visible = params.causal ? Math.min(tk, Math.max(0, first + i + 1)) : tk;
        const keyAt = (j: number) => ((b * tk + j) * kvHeads + Math.floor(h / group)) * size;
        let largest = Number.NEGATIVE_INFINITY;
        for (let j = 0; j < visible; j++) {
          let dot = 0;
          for (let d = 0; d < size; d++) dot += (q.data[at + d] as number) * (k.data[keyAt(j) + d] as number);
          let added = 0;
          if (bias) {
            const [, H, T] = bias.shape as [number, number, number];
            const biasRow = ((biasB ? b : 0) * H + (biasH ? h : 0)) * T + (biasQ ? i : 0);
            added = bias.data[biasRow * tk + j] as number;
          }
          if (relH && relW) {
            added += relH.data[row * kh + Math.floor(j / kw)] as number;
            added += relW.data[row * kw + (j % kw)] as number;
          }
          scores[j] = added <= maskedBelow ? Number.NEGATIVE_INFINITY : params.scale * dot + added;
          largest = Math.max(largest, scores[j] as number);
        }
        if (largest === Number.NEGATIVE_INFINITY) continue; // every key is masked: zeros
        let sum = 0;
        for (let j = 0; j < visible; j++) {
          const p = Math.exp((scores[j] as number) - largest);
          sum += p;
          for (let d = 0; d < size; d++)
            out[at + d] = (out[at + d] as number) + p * (v.data[keyAt(j) + d] as number);
        }
        for (let d = 0; d < size; d++) out[at + d] = (out[at + d] as number) / sum;
      }
    }
  }
  return [hostResult(q.shape, out)];
}
