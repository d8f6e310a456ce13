import type { Dispatch } from "../../kernel.ts";
import type { BuildContext, Variant } from "../../op.ts";
import { type FloatStorage, floatStorages } from "../../reading.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { batchWindows, imagesOf, imageWindows } from "../conv2d/batches.ts";
import { gemm } from "../conv2d/gemm.wgsl.ts";
import {
  type Patches,
  packedWeightShape,
  packPatches,
  packWeights,
  patchBytes,
  type WeightLayout,
} from "../conv2d/pack.wgsl.ts";
import type { Conv2dShape } from "../conv2d/spec.ts";
import { hasSmallSubgroups } from "../conv2d/subgroup.wgsl.ts";
import { type ConvTranspose2dInputs, type ConvTranspose2dParams, convTranspose2dShape } from "./spec.ts";

/** [C, O/groups, kh, kw] as rows (output channel, i, j) of input channels. */
function layout({ groups, cg, og, kh, kw }: Conv2dShape): WeightLayout {
  const rows = og * kh * kw;
  return {
    groups,
    rows,
    taps: 1,
    channels: cg,
    strideGroup: cg * rows,
    strideRow: 1,
    strideTap: 0,
    strideChannel: rows,
  };
}

/** None where the image can be read as it is. */
function patchesOf({ groups, cg, h, w }: Conv2dShape): Patches | undefined {
  if (cg % 4 === 0 && (h * w) % 4 === 0) return undefined;
  return { stacks: groups, channels: cg, h, w, size: [1, 1], stride: [1, 1], padding: [0, 0], out: [h, w] };
}

function build(
  storage: FloatStorage,
  { inputs, outputs, params, caps, scratch }: BuildContext<ConvTranspose2dInputs, ConvTranspose2dParams>,
): Dispatch[] {
  const { x, weight, bias } = inputs;
  const y = outputs[0] as Tensor;
  const s = convTranspose2dShape(inputs, params);
  const patches = patchesOf(s);
  const weights = layout(s);
  const windows = batchWindows("convTranspose2d", [x, y], 1, caps, patchBytes(patches));
  const packedWeight = scratch({ shape: packedWeightShape(weights), dtype: "f32" });
  const most = Math.max(...windows.map((w) => w.count));
  const packed = patches && scratch({ shape: [most, patchBytes(patches) / 4], dtype: "f32" });
  const dispatches = [packWeights(weight, packedWeight, storage, weights)];
  const spec = {
    lanes: caps.subgroupSize,
    storage: "f32" as const,
    planar: !patches,
    aligned: false,
    blocks: true,
    epilogue: { activation: params.activation, bias: !!bias, residual: false, addFirst: false },
  };
  for (const images of windows) {
    const stacks = images.count * s.groups;
    const source = imagesOf(x, images);
    if (packed) dispatches.push(packPatches(source, packed, { ...patches, stacks }));
    const tensors = {
      x: packed ?? source,
      weight: packedWeight,
      y: imagesOf(y, images),
      bias,
      residual: undefined,
    };
    const pixels = s.h * s.w;
    dispatches.push(
      gemm(spec, tensors, {
        stacks,
        groups: s.groups,
        rows: weights.rows,
        quads: Math.ceil(s.cg / 4),
        taps: 1,
        kw: 1,
        tapRow: 0,
        tapColumn: 0,
        plane: patches ? pixels : pixels / 4,
        pixels,
        ow: s.w,
        stepRow: s.w,
        stepColumn: 1,
        blockHeight: s.kh,
        blockWidth: s.kw,
      }),
    );
  }
  return dispatches;
}

function blocksVariant(storage: FloatStorage): Variant<ConvTranspose2dInputs, ConvTranspose2dParams> {
  return {
    name: `blocks-${storage}`,
    supports(inputs, params, caps) {
      if (!hasSmallSubgroups(caps) || !floatStorages(inputs.weight.dtype, caps).includes(storage))
        return false;
      const s = convTranspose2dShape(inputs, params);
      const { stride, padding, outputPadding, dilation } = params;
      const disjoint =
        s.kh === stride[0] &&
        s.kw === stride[1] &&
        [...padding, ...outputPadding].every((v) => v === 0) &&
        dilation.every((v) => v === 1);
      if (!disjoint || 4 * sizeOf(packedWeightShape(layout(s))) > caps.limits.maxStorageBufferBindingSize)
        return false;
      const y = { shape: [s.n, s.o, s.oh, s.ow], dtype: "f32" as const };
      return !!imageWindows([inputs.x, y], 1, caps, patchBytes(patchesOf(s)));
    },
    build: (context) => build(storage, context),
  };
}

const storages: FloatStorage[] = ["f32", "f16", "packed"];

/**
 * Where the stride is the kernel's size (SAM's 2 x 2), the blocks that the input pixels make do not overlap: one product
 * with (output channel, i, j) as rows, stored block by block.
 */
export const blocksVariants = storages.map(blocksVariant);
