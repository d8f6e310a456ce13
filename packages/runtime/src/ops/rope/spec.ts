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
  /** [B, T, (H + 2 Hkv)·D], f32: a position's queries, keys and values, head after head, as one product gives them. */
  readonly qkv: TensorSpec;
  readonly invFreq: TensorSpec;
  readonly start: TensorSpec;
  /** [B, Tmax, Hkv, D], f32, f16 or q8_0. */
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
  /** Elements of a position of `qkv`: (H + 2 Hkv)·D. */
  readonly width: number;
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

/** Throws ShapeError or DTypeError. The caches say how many heads of keys there are and how long a head is. */
export function appendShape(inputs: RopeAppendInputs, params: RopeParams): AppendShape {
  const { qkv, invFreq, start, kCache, vCache } = inputs;
  if (qkv.dtype !== "f32") throw new DTypeError(`ropeAppend: qkv ${formatSpec(qkv)}: takes f32`);
  if (!["f32", "f16", "q8_0"].includes(kCache.dtype) || vCache.dtype !== kCache.dtype) {
    throw new DTypeError(
      `ropeAppend: caches ${formatSpec(kCache)}, ${formatSpec(vCache)}: takes f32, f16 or q8_0, both the same`,
    );
  }
  const fail = (name: string, t: TensorSpec, expected: string): never => {
    throw new ShapeError(
      `ropeAppend: ${name} ${formatShape(t.shape)} is not ${expected} (kCache ${formatSpec(kCache)}, qkv ${formatSpec(qkv)})`,
    );
  };
  const [batch = 0, length = 0, width = 0] = qkv.shape;
  const [, capacity = 0, kvHeads = 0, size = 0] = kCache.shape;
  const cache = formatShape([batch, capacity, kvHeads, size]);
  if (formatShape(kCache.shape) !== cache || sizeOf(kCache.shape) === 0)
    return fail("kCache", kCache, `[${batch}, Tmax, Hkv, D] with all of it above 0`);
  if (formatShape(vCache.shape) !== cache) return fail("vCache", vCache, cache);
  const heads = width / size - 2 * kvHeads;
  if (qkv.shape.length !== 3 || !Number.isInteger(heads) || heads < 1)
    return fail("qkv", qkv, `[B, T, (H + ${2 * kvHeads})·${size}] with H above 0`);
  const queries = { ...qkv, shape: [batch, length, heads, size] };
  const shape = rotaryShape("ropeAppend", queries, invFreq, start, params);
  return { ...shape, kvHeads, width, capacity };
}
