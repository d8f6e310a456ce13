import {
  dispatch,
  grid,
  type HostTensor,
  hostResult,
  kernel,
  type Op,
  read,
  sizeOf,
  type TensorSpec,
  type Variant,
  wgsl,
  write,
} from "@mask-llava/runtime";

const workgroup = 256;

interface ReadInputs {
  /** [G, R, T]: G slabs, R a multiple of 4. f32. */
  readonly x: TensorSpec;
}

/**
 * A workgroup adds up its slab's rows: threads read neighbours, and what is written is next to nothing. Its size is T, or
 * a quarter of it: a GPU takes hundreds of threads, and a processor, which runs a workgroup's subgroups one after the
 * other, reads forward only where a workgroup is one subgroup.
 */
function slabSums(name: string, element: string, width: number): Variant<ReadInputs, null> {
  return {
    name,
    supports: ({ x }) => (x.shape[2] as number) % width === 0 && (x.shape[2] as number) / width <= workgroup,
    build({ inputs: { x }, outputs: [y] }) {
      const [groups, rows, columns] = x.shape as [number, number, number];
      const threads = columns / width;
      return [
        dispatch(
          kernel({
            name: `roof-read-${name}`,
            bindings: { x: read(element), y: write(element) },
            uniforms: { rows: "u32", groups: "u32" },
            code: wgsl`
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let g = flat_workgroup(wid, nwg);
  if (g >= u.groups) { return; }
  var sum = ${element}();
  let end = (g + 1u) * u.rows * ${threads}u;
  for (var i = g * u.rows * ${threads}u + lid.x; i < end; i += ${4 * threads}u) {
    sum += (x[i] + x[i + ${threads}u]) + (x[i + ${2 * threads}u] + x[i + ${3 * threads}u]);
  }
  y[g * ${threads}u + lid.x] = sum;
}`,
          }),
          { x, y },
          { rows, groups },
          [...grid(groups), 1],
        ),
      ];
    },
  };
}

/** Sums over the rows of x [G, R, T], as fast as it can be read -> [G, T]. */
export const readRoofOp: Op<ReadInputs, null> = {
  name: "roof-read",
  infer: ({ x }) => [{ shape: [x.shape[0] as number, x.shape[2] as number], dtype: "f32" }],
  variants: [slabSums("vec4", "vec4<f32>", 4), slabSums("f32", "f32", 1)],
  reference({ x }) {
    const [groups, rows, columns] = x.shape as [number, number, number];
    const sums = new Float64Array(groups * columns);
    x.data.forEach((v, i) => {
      const at = Math.floor(i / (rows * columns)) * columns + (i % columns);
      sums[at] = (sums[at] ?? 0) + v;
    });
    return [hostResult([groups, columns], sums)];
  },
  cost: ({ x }, [y]) => ({ flops: sizeOf(x.shape), bytes: 4 * (sizeOf(x.shape) + sizeOf(y?.shape ?? [])) }),
};

interface ArithmeticInputs {
  /** [T], a multiple of 256. f32. */
  readonly x: TensorSpec;
  /** [2]: factor and summand. f32. */
  readonly constants: TensorSpec;
}

interface ArithmeticParams {
  /** Multiply-adds of each of a thread's eight chains, eight at a time. */
  readonly rounds: number;
}

const chains = 8;
const unrolled = 8;

/** Eight independent chains of multiply-adds a thread: enough to hide their latency, few enough for the registers. */
function multiplyAdds(
  name: string,
  next: (v: string) => string,
): Variant<ArithmeticInputs, ArithmeticParams> {
  return {
    name,
    supports: ({ x }) => sizeOf(x.shape) % workgroup === 0,
    build: ({ inputs: { x, constants }, outputs: [y], params }) => [
      dispatch(
        kernel({
          name: `roof-arithmetic-${name}`,
          bindings: { x: read("f32"), constants: read("f32"), y: write("f32") },
          uniforms: { rounds: "u32" },
          code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let a = vec4<f32>(constants[0]);
  let b = vec4<f32>(constants[1]);
  var v = vec4<f32>(x[gid.x]) + vec4<f32>(0.0, 1.0, 2.0, 3.0);
  var w = v + 4.0;
  for (var i = 0u; i < u.rounds; i++) {
${`    v = ${next("v")};\n    w = ${next("w")};\n`.repeat(unrolled)}
  }
  y[gid.x] = dot(v + w, vec4<f32>(1.0));
}`,
        }),
        { x, constants, y },
        { rounds: params.rounds },
        [...grid(sizeOf(x.shape), workgroup), 1],
      ),
    ],
  };
}

function arithmeticReference(x: HostTensor, constants: HostTensor, rounds: number): HostTensor {
  const [a, b] = constants.data as unknown as [number, number];
  const y = x.data.map((start) => {
    let sum = 0;
    for (let chain = 0; chain < chains; chain++) {
      let v = start + chain;
      for (let i = 0; i < rounds * unrolled; i++) v = v * a + b;
      sum += v;
    }
    return sum;
  });
  return hostResult(x.shape, y);
}

/** Multiply-adds in registers. x [T] -> [T]: the sum of eight chains v -> v·factor + summand that start at x, x+1, … */
export const arithmeticRoofOp: Op<ArithmeticInputs, ArithmeticParams> = {
  name: "roof-arithmetic",
  infer: ({ x }) => [{ shape: x.shape, dtype: "f32" }],
  variants: [
    multiplyAdds("multiply-add", (v) => `${v} * a + b`),
    multiplyAdds("fma", (v) => `fma(${v}, a, b)`),
  ],
  reference: ({ x, constants }, { rounds }) => [arithmeticReference(x, constants, rounds)],
  cost: ({ x }, _, { rounds }) => ({
    flops: 2 * sizeOf(x.shape) * chains * unrolled * rounds,
    bytes: 8 * sizeOf(x.shape),
  }),
};
