import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface RopeInputs {
  /** [B, T, H, D], f32. */
  readonly x: TensorSpec;
  /** f32 [rot / 2]: radians a position, as `ropeFrequencies` makes them; rot <= D. */
  readonly invFreq: TensorSpec;
  /** u32 [B]: position of x[b, 0]. */
  readonly start: TensorSpec;
}

export interface RopeAppendInputs {
  /** [B, T, H, D], f32. */
  readonly q: TensorSpec;
  /** [B, T, Hkv, D], f32. */
  readonly k: TensorSpec;
  /** [B, T, Hkv, D], f32. */
  readonly v: TensorSpec;
  readonly invFreq: TensorSpec;
  readonly start: TensorSpec;
  /** [B, Tmax, Hkv, D], f32 or f16. */
  readonly kCache: TensorSpec;
  /** Of the shape and dtype of `kCache`. */
  readonly vCache: TensorSpec;
}

export interface RopeParams {
  /** Multiplies cos and sin, hence rotated elements; 1 for all but some long-context scalings. */
  readonly attentionScaling: number;
}

interface RotaryShape {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly size: number;
  /** Rotated elements of a head, from its start; pair i is (i, i + rot / 2). The rest is copied. */
  readonly rotary: number;
}

export interface AppendShape extends RotaryShape {
  readonly kvHeads: number;
  readonly capacity: number;
}

function rotaryShape(
  op: string,
  x: TensorSpec,
  invFreq: TensorSpec,
  start: TensorSpec,
  { attentionScaling }: RopeParams,
): RotaryShape {
  const fail = (why: string): never => {
    throw new ShapeError(`${op}: ${formatSpec(x)}: ${why}`);
  };
  if (x.shape.length !== 4 || sizeOf(x.shape) === 0)
    return fail("is not [B, T, H, D] with all of it above 0");
  const [batch, length, heads, size] = x.shape as [number, number, number, number];
  if (invFreq.dtype !== "f32") throw new DTypeError(`${op}: invFreq ${formatSpec(invFreq)}: takes f32`);
  if (start.dtype !== "u32") throw new DTypeError(`${op}: start ${formatSpec(start)}: takes u32`);
  const rotary = 2 * sizeOf(invFreq.shape);
  if (invFreq.shape.length !== 1 || rotary > size || rotary === 0)
    return fail(`invFreq ${formatShape(invFreq.shape)} is not [1 .. ${Math.floor(size / 2)}]`);
  if (formatShape(start.shape) !== formatShape([batch]))
    return fail(`start ${formatShape(start.shape)} is not [${batch}]`);
  if (!Number.isFinite(attentionScaling)) return fail(`attentionScaling is ${attentionScaling}`);
  return { batch, length, heads, size, rotary };
}

export function ropeShape({ x, invFreq, start }: RopeInputs, params: RopeParams): RotaryShape {
  if (x.dtype !== "f32") throw new DTypeError(`rope: x ${formatSpec(x)}: takes f32`);
  return rotaryShape("rope", x, invFreq, start, params);
}

export function appendShape(inputs: RopeAppendInputs, params: RopeParams): AppendShape {
  const { q, k, v, invFreq, start, kCache, vCache } = inputs;
  for (const [name, t] of Object.entries({ q, k, v })) {
    if (t.dtype !== "f32") throw new DTypeError(`ropeAppend: ${name} ${formatSpec(t)}: takes f32`);
  }
  if ((kCache.dtype !== "f32" && kCache.dtype !== "f16") || vCache.dtype !== kCache.dtype) {
    throw new DTypeError(
      `ropeAppend: caches ${formatSpec(kCache)}, ${formatSpec(vCache)}: takes f32 or f16, both the same`,
    );
  }
  const shape = rotaryShape("ropeAppend", q, invFreq, start, params);
  const { batch, length, size } = shape;
  const fail = (name: string, t: TensorSpec, expected: string): never => {
    throw new ShapeError(
      `ropeAppend: ${name} ${formatShape(t.shape)} is not ${expected} (q ${formatSpec(q)})`,
    );
  };
  const kvHeads = k.shape[2] ?? 0;
  const rows = formatShape([batch, length, kvHeads, size]);
  if (formatShape(k.shape) !== rows || kvHeads < 1)
    return fail("k", k, `[${batch}, ${length}, Hkv, ${size}]`);
  if (formatShape(v.shape) !== rows) return fail("v", v, rows);
  const capacity = kCache.shape[1] ?? 0;
  const cache = formatShape([batch, capacity, kvHeads, size]);
  if (formatShape(kCache.shape) !== cache || capacity < 1)
    return fail("kCache", kCache, `[${batch}, Tmax, ${kvHeads}, ${size}]`);
  if (formatShape(vCache.shape) !== cache) return fail("vCache", vCache, cache);
  return { ...shape, kvHeads, capacity };
}
