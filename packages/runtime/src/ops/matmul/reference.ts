import { activationReference } from "../../activation.ts";
import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";

export function matmulReference(inputs: HostTensors<MatmulInputs>, params: MatmulParams): HostTensor[] {
  const { batch, m, n, k, batchedB } = matmulShape(inputs, params);
  const { a, b, bias, residual } = inputs;
  const activate = activationReference(params.activation);
  const out = new Float64Array(batch * m * n);
  const [strideN, strideK] = params.transposeB ? [k, 1] : [1, n];
  for (let z = 0; z < batch; z++) {
    const b0 = batchedB ? z * n * k : 0;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) {
          sum += (a.data[(z * m + i) * k + l] as number) * (b.data[b0 + j * strideN + l * strideK] as number);
        }
        const at = (z * m + i) * n + j;
        out[at] = activate(params.scale * sum + (bias?.data[j] ?? 0)) + (residual?.data[at] ?? 0);
      }
    }
  }
  return [hostResult([...a.shape.slice(0, -1), n], out)];
}
