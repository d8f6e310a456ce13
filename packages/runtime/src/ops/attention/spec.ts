import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";

export interface AttentionInputs {
  /** [B, Tq, H, D], f32. */
  readonly q: TensorSpec;
  /** [B, Tk, Hkv, D], f32, f16 or q8_0; Hkv divides H. A KV cache is read as it is: Tk is then its capacity. */
  readonly k: TensorSpec;
  /** Of the shape and dtype of `k`. */
  readonly v: TensorSpec;
  /** Causal only. u32 [B]: position of the first query among the keys, read on the GPU. Absent: Tk - Tq. */
  readonly start?: TensorSpec | undefined;
  /** f32 [B|1, H|1, Tq|1, Tk], added to the scaled scores. */
  readonly bias?: TensorSpec | undefined;
  /** f32 [B, H, Tq, kh]: decomposed relative positions, together with `relW`. Not with keys in q8_0. */
  readonly relH?: TensorSpec | undefined;
  /** f32 [B, H, Tq, kw] with kh · kw = Tk: key j is at (j div kw, j mod kw). */
  readonly relW?: TensorSpec | undefined;
}

export interface AttentionParams {
  readonly scale: number;
  readonly causal: boolean;
}

export interface AttentionShape {
  readonly batch: number;
  readonly tq: number;
  readonly tk: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Query heads that share a key-value head. */
  readonly group: number;
  /** Head size D. */
  readonly size: number;
  /** Of relative positions; 0 where there are none. */
  readonly kh: number;
  readonly kw: number;
}

/** A key is masked where its bias is at most this: -Infinity, or the lowest f32 that PyTorch's masks carry. */
export const maskedBelow = -1e30;

/** Checks shapes and dtypes of all inputs. Throws ShapeError or DTypeError. */
export function attentionShape(inputs: AttentionInputs, { causal, scale }: AttentionParams): AttentionShape {
  const { q, k, v, start, bias, relH, relW } = inputs;
  const fail = (why: string): never => {
    throw new ShapeError(`attention: q ${formatSpec(q)}, k ${formatSpec(k)}, v ${formatSpec(v)}: ${why}`);
  };
  if (q.shape.length !== 4 || k.shape.length !== 4) return fail("q is [B, Tq, H, D], k is [B, Tk, Hkv, D]");
  const [batch, tq, heads, size] = q.shape as [number, number, number, number];
  const [batchK, tk, kvHeads, sizeK] = k.shape as [number, number, number, number];
  if (batchK !== batch) return fail(`batches ${batch} and ${batchK} differ`);
  if (sizeK !== size) return fail(`head sizes ${size} and ${sizeK} differ`);
  if (formatShape(v.shape) !== formatShape(k.shape)) return fail("k and v differ in shape");
  if (heads % kvHeads !== 0) return fail(`${kvHeads} key-value heads do not divide ${heads} heads`);
  if ([...q.shape, ...k.shape].some((n) => n < 1)) return fail("an axis is empty");
  if (!Number.isFinite(scale)) return fail(`scale is ${scale}`);

  const expectF32 = (name: string, t: TensorSpec | undefined) => {
    if (t && t.dtype !== "f32") throw new DTypeError(`attention: ${name} ${formatSpec(t)}: takes f32`);
  };
  for (const [name, t] of Object.entries({ q, bias, relH, relW })) expectF32(name, t);
  if (!["f32", "f16", "q8_0"].includes(k.dtype) || v.dtype !== k.dtype) {
    throw new DTypeError(
      `attention: k ${formatSpec(k)}, v ${formatSpec(v)}: takes f32, f16 or q8_0, both the same`,
    );
  }
  // a kernel would bind more buffers than the 8 that every device allows
  if (relH && k.dtype === "q8_0")
    throw new DTypeError(`attention: k ${formatSpec(k)}: relative positions go with f32 or f16`);
  if (start) {
    if (!causal) return fail("start is given, but the attention is not causal");
    if (start.dtype !== "u32") throw new DTypeError(`attention: start ${formatSpec(start)}: takes u32`);
    if (formatShape(start.shape) !== formatShape([batch]))
      return fail(`start ${formatShape(start.shape)} is not [${batch}]`);
  }
  if (bias) {
    const full = [batch, heads, tq, tk];
    const fits =
      bias.shape.length === 4 && bias.shape.every((n, axis) => n === full[axis] || (n === 1 && axis < 3));
    if (!fits)
      return fail(`bias ${formatShape(bias.shape)} is not ${formatShape(full)} (first three may be 1)`);
  }
  if (!relH !== !relW) return fail("relH and relW go together");
  const kh = relH?.shape.at(-1) ?? 0;
  const kw = relW?.shape.at(-1) ?? 0;
  for (const [name, t] of Object.entries({ relH, relW })) {
    if (t && formatShape(t.shape.slice(0, -1)) !== formatShape([batch, heads, tq]))
      return fail(`${name} ${formatShape(t.shape)} does not begin with ${formatShape([batch, heads, tq])}`);
  }
  if (relH && kh * kw !== tk) return fail(`relative positions of ${kh} x ${kw} do not cover ${tk} keys`);
  return { batch, tq, tk, heads, kvHeads, group: heads / kvHeads, size, kh, kw };
}
