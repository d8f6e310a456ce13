import { activationReference } from "../../activation.ts";
import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { rowNormReference } from "../layer-norm/reference.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";

export function matmulReference(inputs: HostTensors<MatmulInputs>, params: MatmulParams): HostTensor[] {
  const { batch, m, n, k, batchedB } = matmulShape(inputs, params);
  const { b, bias, residual, up } = inputs;
  const a = normed(inputs, k, params.eps ?? 0);
  const activate = activationReference(params.activation);
  const out = new Float64Array(batch * m * n);
  const [strideN, strideK] = params.transposeB ? [k, 1] : [1, n];
  for (let z = 0; z < batch; z++) {
    const b0 = batchedB ? z * n * k : 0;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        const product = (matrix: HostTensor): number => {
          let sum = 0;
          for (let l = 0; l < k; l++)
            sum +=
              (a[(z * m + i) * k + l] as number) * (matrix.data[b0 + j * strideN + l * strideK] as number);
          return params.scale * sum;
        };
        const at = (z * m + i) * n + j;
        const value = activate(product(b) + (bias?.data[j] ?? 0));
        out[at] = up ? value * product(up) : value + (residual?.data[at] ?? 0);
      }
    }
  }
  return [hostResult([...inputs.a.shape.slice(0, -1), n], out)];
}

/** A's rows of `k`, behind the RMS norm if there is one. */
function normed({ a, gain }: HostTensors<MatmulInputs>, k: number, eps: number): Float64Array {
  if (!gain) return a.data;
  return (
    rowNormReference({ ...a, shape: [a.data.length / k, k] }, gain, undefined, eps, false)[0]?.data ?? a.data
  );
}
