import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, type Tensor } from "../../tensor.ts";
import { blockFormats } from "./formats.ts";
import { planesVariant } from "./planes.wgsl.ts";
import { unpackBlocksReference } from "./reference.ts";
import { type UnpackBlocksInputs, type UnpackBlocksParams, unpackBlocksShape } from "./spec.ts";
import { valuesVariant } from "./values.wgsl.ts";

export { type BlockFormat, blockFormats, isBlockFormat, planesOf } from "./formats.ts";
export { unpackBlocksHost } from "./reference.ts";

/** What stands in `faults` of a tensor without any. */
export const noFault = 0xffffffff;

export const unpackBlocksOp: Op<UnpackBlocksInputs, UnpackBlocksParams> = {
  name: "unpack-blocks",
  mutates: ["target", "faults"],
  infer(inputs, params) {
    unpackBlocksShape(inputs, params);
    return [];
  },
  variants: [valuesVariant, planesVariant],
  reference: unpackBlocksReference,
  cost({ target, ...inputs }, _, params) {
    const { width, blocksPerRow, planes } = unpackBlocksShape({ target, ...inputs }, params);
    const { rows, format } = params;
    return {
      flops: planes ? 0 : 2 * rows * width,
      bytes:
        rows * blocksPerRow * blockFormats[format].bytes + dataBytes({ ...target, shape: [rows, width] }),
    };
  },
};

/**
 * Rows of a GGUF file's blocks, in words u32, into rows of `target` [.., K], which outlives the program: a large weight is
 * transferred part by part. f32 and f16 get the blocks' values; the dtype of `planesOf[format]` gets the same numbers laid
 * out anew, without loss. A row with a value that is not finite, or that f16 does not hold, is noted in `faults` u32 [S],
 * which begins as `noFault`.
 */
export function unpackBlocks(
  cmd: Recorder,
  blocks: Tensor,
  target: Tensor,
  faults: Tensor,
  params: UnpackBlocksParams,
): void {
  cmd.call(unpackBlocksOp, { blocks, target, faults }, params);
}
