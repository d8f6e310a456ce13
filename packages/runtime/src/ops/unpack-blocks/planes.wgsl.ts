import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { wgsl } from "../../wgsl.ts";
import { quantizedWindows } from "../../windows.ts";
import { blockBytes, sourceRowCode } from "./bytes.wgsl.ts";
import { type BlockFormat, blockFormats } from "./formats.ts";
import { type UnpackBlocksInputs, type UnpackBlocksParams, unpackBlocksShape } from "./spec.ts";

const workgroup = 64;

/** Sixteen bytes of quants: a thread's share, a whole block of four bits or half of one of eight. */
const shares = (format: BlockFormat) => (format === "Q8_0" ? 2 : 1);

/** A thread moves its share of quants as they are; a block's first moves its scale (and minimum) into the other plane. */
function planesKernel(format: BlockFormat) {
  const { bytes } = blockFormats[format];
  const quantsAt = format === "Q4_1" ? 4 : 2;
  return kernel({
    name: `unpack-blocks-${format}-planes`,
    bindings: {
      blocks: read("u32"),
      quants: write("vec4<u32>"),
      scales: write("atomic<u32>"),
      faults: write("atomic<u32>"),
    },
    uniforms: {
      count: "u32",
      groups: "u32",
      first: "u32",
      row0: "u32",
      y_row0: "u32",
      head_rows: "u32",
      slot: "u32",
    },
    code: wgsl`
${blockBytes}
${sourceRowCode}
fn words_at(at: u32) -> vec4<u32> {
  let i = at >> 2u;
  let w = vec4<u32>(blocks[i], blocks[i + 1u], blocks[i + 2u], blocks[i + 3u]);
  if ((at & 2u) == 0u) { return w; }
  return (w >> vec4<u32>(16u)) | (vec4<u32>(w.yzw, blocks[i + 4u]) << vec4<u32>(16u));
}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let t = flat_invocation(gid, nwg, ${workgroup}u);
  if (t >= u.count) { return; }
  let share = t % ${shares(format)}u;
  let group = t / ${shares(format)}u;
  let row = u.first + group / u.groups;
  let b = ((source_row(row) - u.row0) * u.groups + group % u.groups) * ${bytes}u;
  quants[u.y_row0 * u.groups * ${shares(format)}u + t] = words_at(b + ${quantsAt}u + 16u * share);
  if (share > 0u) { return; }
  let at = u.y_row0 * u.groups + group;
  let d = half_bits_at(b);
#if ${format === "Q4_1"}
  atomicStore(&scales[at], d | (half_bits_at(b + 2u) << 16u));
#else
  // the neighbour in this word may be another dispatch's: only these two bytes are touched
  let shift = 16u * (at & 1u);
  atomicAnd(&scales[at >> 1u], 0xffff0000u >> shift);
  atomicOr(&scales[at >> 1u], d << shift);
#endif
  if (fault) { atomicMin(&faults[u.slot], row); }
}`,
  });
}

export const planesVariant: Variant<UnpackBlocksInputs, UnpackBlocksParams> = {
  name: "planes",
  supports: (inputs, params) => unpackBlocksShape(inputs, params).planes,
  build({ inputs, params, caps }) {
    const { blocks, target, faults } = inputs;
    const { format, row, rows, headRows, slot } = params;
    const { blocksPerRow: groups } = unpackBlocksShape(inputs, params);
    const compiled = planesKernel(format);
    return quantizedWindows(target, caps).flatMap((w) => {
      const first = Math.max(row, w.start);
      const count = (Math.min(row + rows, w.start + w.count) - first) * groups * shares(format);
      if (count <= 0) return [];
      return dispatch(
        compiled,
        { blocks, quants: w.quants, scales: w.scales, faults },
        { count, groups, first, row0: row, y_row0: first - w.start, head_rows: headRows, slot },
        grid(count, workgroup),
      );
    });
  },
};
