import { halfBits } from "../../half-bits.wgsl.ts";
import { type Dispatch, dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type QuantizedDType, quantGroup, quantizedLayout } from "../../quantized.ts";
import { noScale } from "../../quantized-host.ts";
import { quantizingCode, setHalf } from "../../quantizing.ts";
import { reader } from "../../reading.ts";
import type { DType, Tensor } from "../../tensor.ts";
import { f32, wgsl } from "../../wgsl.ts";
import { quantizedWindows, rowsOf, rowWindows } from "../../windows.ts";
import { type QuantizeInputs, type QuantizeParams, quantizeShape } from "./spec.ts";

const workgroup = 64;
const quads = quantGroup / 4;
const range = (n: number): number[] => [...Array(n).keys()];

/** x as f32s: four at once where rows are whole groups, else one by one, as a group may have padding. */
function source(dtype: DType, wide: boolean) {
  if (dtype !== "u32") return reader("x", dtype === "f32" ? "f32" : "packed", wide);
  const halves = (w: string) => `bitcast<f32>(${w} << 16u), bitcast<f32>(${w} & 0xffff0000u)`;
  return wide
    ? {
        decl: read("vec2<u32>"),
        code: `fn load4_x(q: u32) -> vec4<f32> { let w = x[q]; return vec4<f32>(${halves("w.x")}, ${halves("w.y")}); }`,
      }
    : {
        decl: read("u32"),
        code: "fn load_x(i: u32) -> f32 { return bitcast<f32>((x[i >> 1u] >> (16u * (i & 1u))) << 16u); }",
      };
}

/** A thread quantises one group, so that the scale needs no other thread; see quantized-host.ts for the arithmetic. */
function quantizeKernel(from: DType, to: QuantizedDType, wide: boolean) {
  const x = source(from, wide);
  const each = (line: (i: number) => string) => range(quads).map(line).join("\n");
  const words = (q: (i: number) => string) => `vec4<u32>(${[0, 1, 2, 3].map(q).join(", ")})`;
  const pack8 = (i: number) => `pack_bytes(quant(v${i}, d, m))`;
  const pack4 = (i: number) =>
    `(pack_bytes(quant(v${i}, d, m)) | (pack_bytes(quant(v${i + 4}, d, m)) << 4u))`;
  return kernel({
    name: `quantize-${from === "u32" ? "bf16" : from}-${to}${wide ? "" : "-partial"}`,
    bindings: { x: x.decl, quants: write("vec4<u32>"), scales: write("atomic<u32>") },
    uniforms: { count: "u32", width: "u32", groups: "u32", x_row0: "u32", row0: "u32" },
    code: wgsl`
${x.code}
${halfBits}
${quantizingCode}
fn quad(row: u32, k: u32) -> vec4<f32> {
#if ${wide}
  return load4_x((row * u.width + k) >> 2u);
#else
  let within = vec4<u32>(k, k + 1u, k + 2u, k + 3u);
  let at = row * u.width + min(within, vec4<u32>(u.width - 1u));
  let v = vec4<f32>(load_x(at.x), load_x(at.y), load_x(at.z), load_x(at.w));
  return ${to === "q4_1" ? "v" : "select(vec4<f32>(), v, within < vec4<u32>(u.width))"};
#endif
}
fn quant(x: vec4<f32>, d: f32, m: f32) -> vec4<i32> {
#if ${to === "q8_0"}
  return vec4<i32>(clamp(nearest(x, d), vec4<f32>(-127.0), vec4<f32>(127.0)));
#elif ${to === "q4_0"}
  return vec4<i32>(clamp(nearest(x, d), vec4<f32>(-8.0), vec4<f32>(7.0)) + 8.0);
#else
  return vec4<i32>(clamp(nearest(x - m, d), vec4<f32>(), vec4<f32>(15.0)));
#endif
}
// magnitudes are compared as integers, where a NaN is larger than all
fn further(a: f32, b: f32) -> f32 {
  return select(a, b, (bitcast<u32>(b) & 0x7fffffffu) > (bitcast<u32>(a) & 0x7fffffffu));
}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.count) { return; }
  let row = u.x_row0 + i / u.groups;
  let k = (i % u.groups) * ${quantGroup}u;
${each((q) => `  let v${q} = quad(row, k + ${4 * q}u);`)}
  var furthest = 0.0;
${each((q) => `  furthest = further(further(further(further(furthest, v${q}.x), v${q}.y), v${q}.z), v${q}.w);`)}
#if ${to === "q8_0"}
  let scale = abs(furthest) * ${f32(1 / 127)};
  let minimum = 0.0;
#elif ${to === "q4_0"}
  let scale = select(furthest * -0.125, 0.0, furthest == 0.0);
  let minimum = 0.0;
#else
  var low = v0;
  var high = v0;
${each((q) => `  low = min(low, v${q}); high = max(high, v${q});`)}
  let least = min(min(low.x, low.y), min(low.z, low.w));
  let minimum = select(least, 0.0, least == 0.0);
  let scale = (max(max(high.x, high.y), max(high.z, high.w)) - minimum) * ${f32(1 / 15)};
#endif
  var d_bits = half_bits(bitcast<u32>(scale));
  var m_bits = half_bits(bitcast<u32>(minimum));
  let at = u.row0 * u.groups + i;
  let exponents = max(d_bits & 0x7c00u, m_bits & 0x7c00u);
  let valid = exponents < 0x7c00u && (bitcast<u32>(furthest) & 0x7f800000u) != 0x7f800000u;
  var first = vec4<u32>();
  var second = vec4<u32>();
  if (valid) {
    let d = unpack2x16float(d_bits).x;
    let m = unpack2x16float(m_bits).x;
#if ${to === "q8_0"}
    first = ${words((i) => pack8(i))};
    second = ${words((i) => pack8(i + 4))};
#else
    first = ${words(pack4)};
#endif
  } else {
    d_bits = ${noScale}u;
    m_bits = ${noScale}u;
  }
#if ${to === "q8_0"}
  quants[2u * at] = first;
  quants[2u * at + 1u] = second;
#else
  quants[at] = first;
#endif
#if ${to === "q4_1"}
  atomicStore(&scales[at], d_bits | (m_bits << 16u));
#else
  ${setHalf("scales", "at", "d_bits")}
#endif
}`,
  });
}

export const groupsVariant: Variant<QuantizeInputs, QuantizeParams> = {
  name: "groups",
  supports: () => true,
  build({ inputs, outputs, params, caps }): Dispatch[] {
    const { dtype } = params;
    const { x, target = outputs[0] as Tensor } = inputs;
    const { rows, width } = quantizeShape(inputs, params);
    const { groups } = quantizedLayout(target.shape, dtype);
    const compiled = quantizeKernel(x.dtype, dtype, width % quantGroup === 0);
    const part = { tensor: x, width: x.shape.at(-1) as number };
    const targets = quantizedWindows(target, caps);
    return rowWindows(rows, [part], caps).flatMap((from) =>
      targets.flatMap((to) => {
        const first = Math.max(params.row + from.start, to.start);
        const count = Math.min(params.row + from.start + from.count, to.start + to.count) - first;
        if (count <= 0) return [];
        return dispatch(
          compiled,
          { x: rowsOf(part, from), quants: to.quants, scales: to.scales },
          {
            count: count * groups,
            width,
            groups,
            x_row0: first - params.row - from.start,
            row0: first - to.start,
          },
          grid(count * groups, workgroup),
        );
      }),
    );
  },
};
