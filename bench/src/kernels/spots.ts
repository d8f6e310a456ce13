import {
  type HostTensor,
  hostTensor,
  isQuantized,
  type Shape,
  sizeOf,
  type TensorSpec,
} from "@mask-llava/runtime";
import type { Random } from "@mask-llava/runtime/conformance";

/** A tensor as it was read from the GPU. */
export interface Values extends TensorSpec {
  readonly data: ArrayLike<number>;
}
type Inputs = Readonly<Record<string, Values>>;

/** A part of a case that the op's own reference can afford: `at[i]` is where element i of its output is in the case's. */
export interface Spot {
  readonly inputs: Record<string, HostTensor>;
  readonly params: unknown;
  readonly at: ArrayLike<number>;
}

type SpotRule = (inputs: Inputs, params: never, output: TensorSpec, random: Random) => Spot;

/** Elements of `source` along each axis at `picks` (all of an axis where undefined). */
function pick(
  source: Values,
  picks: readonly (readonly number[] | undefined)[],
): { tensor: HostTensor; at: number[] } {
  const axes = source.shape.map((n, i) => picks[i] ?? Array.from({ length: n }, (_, j) => j));
  let at = [0];
  axes.forEach((axis, i) => {
    const stride = sizeOf(source.shape.slice(i + 1));
    at = at.flatMap((base) => axis.map((j) => base + j * stride));
  });
  const shape = axes.map((a) => a.length);
  const data = at.map((i) => source.data[i] as number);
  // what was read of quantised weights is what they stand for
  return { tensor: hostTensor(shape, isQuantized(source.dtype) ? "f32" : source.dtype, data), at };
}

/** Different integers below `size`, the last one among them: edges of tiles are where kernels are wrong. */
function some(random: Random, size: number, count: number): number[] {
  const chosen = new Set([size - 1]);
  while (chosen.size < Math.min(count, size)) chosen.add(random.integer(0, size));
  return [...chosen].sort((a, b) => a - b);
}

/** Positions in a tensor of `shape` of the elements at `picks`. */
function positions(shape: Shape, picks: readonly (readonly number[] | undefined)[]): number[] {
  return pick({ shape, dtype: "u32", data: { length: sizeOf(shape) } }, picks).at;
}

function input(inputs: Inputs, name: string): Values {
  const tensor = inputs[name];
  if (!tensor) throw new Error(`a spot needs the input ${name}`);
  return tensor;
}

function optional(inputs: Inputs, name: string, picks: readonly (readonly number[] | undefined)[]) {
  const tensor = inputs[name];
  return tensor ? { [name]: pick(tensor, picks).tensor } : {};
}

/** Rows of a two-dimensional view of the last axis: for ops that treat every row alike. */
const rows: SpotRule = (inputs, params, output, random) => {
  const width = output.shape.at(-1) as number;
  const count = sizeOf(output.shape) / width;
  const chosen = some(random, count, 4);
  const x = input(inputs, "x");
  const { tensor, at } = pick({ ...x, shape: [count, width] }, [chosen, undefined]);
  const others = Object.fromEntries(
    Object.entries(inputs).flatMap(([name, t]) => (name === "x" ? [] : [[name, pick(t, []).tensor]])),
  );
  return { inputs: { ...others, x: tensor }, params, at };
};

/** Rows and columns of a product with one B. */
const product: SpotRule = (inputs, params: { transposeB: boolean }, output, random) => {
  const n = output.shape.at(-1) as number;
  const m = sizeOf(output.shape) / n;
  const [a, b] = [input(inputs, "a"), input(inputs, "b")];
  if (b.shape.length !== 2) throw new Error("a spot of a batched product is not supported: check it in full");
  const [i, j] = [some(random, m, 8), some(random, n, 24)];
  return {
    inputs: {
      a: pick({ ...a, shape: [m, a.shape.at(-1) as number] }, [i]).tensor,
      b: pick(b, params.transposeB ? [j] : [undefined, j]).tensor,
      ...optional(inputs, "bias", [j]),
      ...(inputs.residual ? { residual: pick({ ...inputs.residual, shape: [m, n] }, [i, j]).tensor } : {}),
    },
    params,
    at: positions([m, n], [i, j]),
  };
};

/** One head's queries against all of its keys. A causal case is cut to one query, whose `start` is its position. */
const attentionHead: SpotRule = (inputs, params: { causal: boolean }, output, random) => {
  const [q, k] = [input(inputs, "q"), input(inputs, "k")];
  const [batch, tq, heads] = q.shape as [number, number, number];
  const b = random.integer(0, batch);
  const h = random.integer(0, heads);
  const kv = Math.floor(h / (heads / (k.shape[2] as number)));
  const i = some(random, tq, params.causal ? 1 : 4);
  const kvPicks = [[b], undefined, [kv]];
  const first = inputs.start ? (inputs.start.data[b] as number) : (k.shape[1] as number) - tq;
  const picks = [[b], i, [h]];
  const relative = [[b], [h], i];
  const bias = inputs.bias;
  return {
    inputs: {
      q: pick(q, picks).tensor,
      k: pick(k, kvPicks).tensor,
      v: pick(input(inputs, "v"), kvPicks).tensor,
      ...(params.causal ? { start: hostTensor([1], "u32", [first + (i[0] as number)]) } : {}),
      ...(bias
        ? {
            bias: pick(
              bias,
              relative.map((p, axis) => (bias.shape[axis] === 1 ? [0] : p)),
            ).tensor,
          }
        : {}),
      ...optional(inputs, "relH", relative),
      ...optional(inputs, "relW", relative),
    },
    params,
    at: positions(output.shape, picks),
  };
};

/** Queries of one head. Output [B, Q, heads·D]. */
const sampledHead: SpotRule = (inputs, params, output, random) => {
  const value = input(inputs, "value");
  const [batch, , heads, d] = value.shape as [number, number, number, number];
  const b = random.integer(0, batch);
  const h = random.integer(0, heads);
  const queries = some(random, output.shape[1] as number, 16);
  return {
    inputs: {
      value: pick(value, [[b], undefined, [h]]).tensor,
      locations: pick(input(inputs, "locations"), [[b], queries, [h]]).tensor,
      weights: pick(input(inputs, "weights"), [[b], queries, [h]]).tensor,
    },
    params,
    at: positions([batch, output.shape[1] as number, heads, d], [[b], queries, [h]]),
  };
};

interface ConvParams {
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

/** A column of output channels at one pixel, from the window that it sees, with its padding written out. */
const convPixel: SpotRule = (inputs, params: ConvParams, output, random) => {
  const [x, weight] = [input(inputs, "x"), input(inputs, "weight")];
  if (params.groups !== 1)
    throw new Error("a spot of a grouped convolution is not supported: check it in full");
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [, , kh, kw] = weight.shape as [number, number, number, number];
  const [, , oh, ow] = output.shape as [number, number, number, number];
  const [n, y0, x0] = [random.integer(0, batch), random.integer(0, oh), random.integer(0, ow)];
  const o = some(random, output.shape[1] as number, 16);
  const window = Array.from({ length: channels * kh * kw }, (_, i) => {
    const [c, r, s] = [Math.floor(i / (kh * kw)), Math.floor(i / kw) % kh, i % kw];
    const row = y0 * params.stride[0] - params.padding[0] + r * params.dilation[0];
    const column = x0 * params.stride[1] - params.padding[1] + s * params.dilation[1];
    const inside = row >= 0 && row < height && column >= 0 && column < width;
    return inside ? (x.data[((n * channels + c) * height + row) * width + column] as number) : 0;
  });
  return {
    inputs: {
      x: hostTensor([1, channels, kh, kw], "f32", window),
      weight: pick(weight, [o]).tensor,
      ...optional(inputs, "bias", [o]),
      ...optional(inputs, "residual", [[n], o, [y0], [x0]]),
    },
    params: { ...params, stride: [1, 1], padding: [0, 0], dilation: [1, 1] },
    at: positions(output.shape, [[n], o, [y0], [x0]]),
  };
};

/** Channels of all boxes. Output [R, C, oh, ow]. */
const roiChannels: SpotRule = (inputs, params, output, random) => {
  const c = some(random, output.shape[1] as number, 4);
  return {
    inputs: {
      features: pick(input(inputs, "features"), [undefined, c]).tensor,
      boxes: pick(input(inputs, "boxes"), []).tensor,
    },
    params,
    at: positions(output.shape, [undefined, c]),
  };
};

/** Channels of all masks. Output [M, D]. */
const pooledChannels: SpotRule = (inputs, params, output, random) => {
  const c = some(random, output.shape[1] as number, 16);
  return {
    inputs: {
      features: pick(input(inputs, "features"), [undefined, c]).tensor,
      masks: pick(input(inputs, "masks"), []).tensor,
    },
    params,
    at: positions(output.shape, [undefined, c]),
  };
};

/** One mask of inputs that have one each along their first axis; the others are shared. */
function oneMask(own: readonly string[]): SpotRule {
  return (inputs, params, output, random) => {
    const mask = [random.integer(0, output.shape[0] as number)];
    return {
      inputs: Object.fromEntries(
        Object.entries(inputs).map(([name, t]) => [name, pick(t, own.includes(name) ? [mask] : []).tensor]),
      ),
      params,
      at: positions(output.shape, [mask]),
    };
  };
}

/** Columns of some slabs [G, R, T] whose rows are summed up. Output [G, T]. */
const columns: SpotRule = (inputs, params, output, random) => {
  const picks = [some(random, output.shape[0] as number, 4), some(random, output.shape[1] as number, 16)];
  const x = pick(input(inputs, "x"), [picks[0], undefined, picks[1]]).tensor;
  return { inputs: { x }, params, at: positions(output.shape, picks) };
};

/** Elements of `x`; the other inputs are shared. */
const elements: SpotRule = (inputs, params, output, random) => {
  const at = some(random, output.shape[0] as number, 64);
  const { x, ...others } = inputs;
  if (!x) throw new Error("a spot needs the input x");
  const shared = Object.entries(others).map(([name, t]) => [name, pick(t, []).tensor] as const);
  return { inputs: { ...Object.fromEntries(shared), x: pick(x, [at]).tensor }, params, at };
};

/** Rows of a table by some of the ids: those rows alone make the table. */
const embeddedRows: SpotRule = (inputs, params, output, random) => {
  const [table, ids] = [input(inputs, "table"), input(inputs, "ids")];
  const count = sizeOf(ids.shape);
  const chosen = some(random, count, 16);
  const rowIds = chosen.map((i) => ids.data[i] as number);
  return {
    inputs: {
      table: pick(table, [rowIds]).tensor,
      ids: hostTensor([chosen.length], "u32", [...chosen.keys()]),
    },
    params,
    at: positions([count, output.shape.at(-1) as number], [chosen, undefined]),
  };
};

/** How to check a few elements of an op's first output, by op name. */
export const spotRules: Readonly<Record<string, SpotRule>> = {
  "layer-norm": rows,
  "rms-norm": rows,
  softmax: rows,
  matmul: product,
  attention: attentionHead,
  embedding: embeddedRows,
  deformableAttention: sampledHead,
  conv2d: convPixel,
  roiAlign: roiChannels,
  maskPool: pooledChannels,
  "legrad-map": oneMask(["gradient"]),
  "sign-weighted-value": oneMask(["signs", "weights"]),
  "token-terms": oneMask(["x", "added", "coefficients"]),
  "token-dots": oneMask(["x"]),
  "weighted-mean": oneMask(["x"]),
  "roof-read": columns,
  "roof-arithmetic": elements,
};
