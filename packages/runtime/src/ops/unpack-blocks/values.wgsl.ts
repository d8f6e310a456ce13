import { halfBits } from "../../half-bits.wgsl.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { sizeOf } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { blockBytes, sourceRowCode } from "./bytes.wgsl.ts";
import { type BlockFormat, blockFormats } from "./formats.ts";
import { type UnpackBlocksInputs, type UnpackBlocksParams, unpackBlocksShape } from "./spec.ts";

const workgroup = 64;

/** Four bytes of a word, shifted right by an expression, as `mask` leaves them. */
const bytes = (word: string, shift: string, mask: number) =>
  `(((vec4<u32>(${word}) >> vec4<u32>(0u, 8u, 16u, 24u)) >> vec4<u32>(${shift})) & vec4<u32>(${mask}u))`;

/** Bits i to i + 3 of a word of 32 high bits, as the fifth bits of four quants. */
const highBits = (word: string) =>
  `(((vec4<u32>(${word} >> i) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u)) << vec4<u32>(4u))`;

/** d, minima and quants of the formats of 32: where their nibble pairs and, of five bits, their high bits begin. */
function small(quants: number, high: number | undefined, middle: number | undefined): string {
  const low = bytes(`word_at(b + ${quants}u + (i & 15u))`, "4u * (i >> 4u)", 15);
  const q = high === undefined ? low : `(${low} | ${highBits(`word_at(b + ${high}u)`)})`;
  return middle === undefined
    ? `return half_at(b) * vec4<f32>(${q}) + half_at(b + 2u);`
    : `return half_at(b) * (vec4<f32>(${q}) - ${middle}.0);`;
}

/** Q4_K and Q5_K: blocks of whole words. */
function large(quants: number, high: number | undefined): string {
  const low = bytes(`word_at(b + ${quants}u + 32u * (g >> 1u) + (i & 31u))`, "4u * (g & 1u)", 15);
  const fifth = bytes(`word_at(b + ${high ?? 0}u + (i & 31u))`, "g", 1);
  return `
  let g = i >> 5u;
  let shift = 8u * (g & 3u);
  let scales = word_at(b + 4u) >> shift;
  let minima = word_at(b + 8u) >> shift;
  let both = word_at(b + 12u) >> shift;
  let s = select((both & 15u) | ((scales >> 2u) & 48u), scales & 63u, g < 4u);
  let n = select(((both >> 4u) & 15u) | ((minima >> 2u) & 48u), minima & 63u, g < 4u);
  let q = ${low}${high === undefined ? "" : ` | (${fifth} << vec4<u32>(4u))`};
  return half_at(b) * f32(s) * vec4<f32>(q) - half_at(b + 2u) * f32(n);`;
}

/** The body of `fn quad(b: u32, i: u32) -> vec4<f32>`: weights i to i + 3 of the block at byte b. Products are exact. */
const quads: Readonly<Record<BlockFormat, string>> = {
  Q8_0: `return half_at(b) * vec4<f32>(vec4<i32>(vec4<u32>(word_at(b + 2u + i)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));`,
  Q4_0: small(2, undefined, 8),
  Q4_1: small(4, undefined, undefined),
  Q5_0: small(6, 2, 16),
  Q5_1: small(8, 4, undefined),
  Q4_K: large(16, undefined),
  Q5_K: large(48, 16),
  Q6_K: `
  let run = (i >> 5u) & 3u;
  let low = ${bytes("word_at(b + 64u * (i >> 7u) + 32u * (run & 1u) + (i & 31u))", "4u * (run >> 1u)", 15)};
  let high = ${bytes("word_at(b + 128u + 32u * (i >> 7u) + (i & 31u))", "2u * run", 3)};
  let s = f32(bitcast<i32>(byte_at(b + 192u + (i >> 4u)) << 24u) >> 24u);
  return half_at(b + 208u) * s * (vec4<f32>(low | (high << vec4<u32>(4u))) - 32.0);`,
};

/** A thread makes four neighbouring weights of one row. */
function valuesKernel(format: BlockFormat, half: boolean) {
  const { weights, bytes: size } = blockFormats[format];
  return kernel({
    name: `unpack-blocks-${format}-${half ? "f16" : "f32"}`,
    bindings: {
      blocks: read("u32"),
      y: write(half ? "vec2<u32>" : "vec4<f32>"),
      faults: write("atomic<u32>"),
    },
    uniforms: {
      count: "u32",
      row_quads: "u32",
      row_blocks: "u32",
      first: "u32",
      row0: "u32",
      y_row0: "u32",
      head_rows: "u32",
      slot: "u32",
    },
    code: wgsl`
${blockBytes}
${sourceRowCode}
#if ${half}
${halfBits}
#endif
fn quad(b: u32, i: u32) -> vec4<f32> {
  ${quads[format]}
}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let t = flat_invocation(gid, nwg, ${workgroup}u);
  if (t >= u.count) { return; }
  let row = u.first + t / u.row_quads;
  let k = 4u * (t % u.row_quads);
  let block = (source_row(row) - u.row0) * u.row_blocks + k / ${weights}u;
  let v = quad(block * ${size}u, k % ${weights}u);
#if ${half}
  let h = vec4<u32>(half_bits(bitcast<u32>(v.x)), half_bits(bitcast<u32>(v.y)), half_bits(bitcast<u32>(v.z)), half_bits(bitcast<u32>(v.w)));
  fault = fault || any((h & vec4<u32>(0x7c00u)) == vec4<u32>(0x7c00u));
  y[u.y_row0 * u.row_quads + t] = vec2<u32>(h.x | (h.y << 16u), h.z | (h.w << 16u));
#else
  y[u.y_row0 * u.row_quads + t] = v;
#endif
  if (fault) { atomicMin(&faults[u.slot], row); }
}`,
  });
}

export const valuesVariant: Variant<UnpackBlocksInputs, UnpackBlocksParams> = {
  name: "values",
  supports: (inputs, params) => !unpackBlocksShape(inputs, params).planes,
  build({ inputs, params, caps }) {
    const { blocks, target, faults } = inputs;
    const { format, row, rows, headRows, slot } = params;
    const { width, blocksPerRow } = unpackBlocksShape(inputs, params);
    const compiled = valuesKernel(format, target.dtype === "f16");
    const part = { tensor: target, width };
    return rowWindows(sizeOf(target.shape) / width, [part], caps).flatMap((w) => {
      const first = Math.max(row, w.start);
      const count = (Math.min(row + rows, w.start + w.count) - first) * (width / 4);
      if (count <= 0) return [];
      return dispatch(
        compiled,
        { blocks, y: rowsOf(part, w), faults },
        {
          count,
          row_quads: width / 4,
          row_blocks: blocksPerRow,
          first,
          row0: row,
          y_row0: first - w.start,
          head_rows: headRows,
          slot,
        },
        grid(count, workgroup),
      );
    });
  },
};
