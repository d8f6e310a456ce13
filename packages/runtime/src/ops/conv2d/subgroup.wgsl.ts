import type { Capabilities } from "../../capabilities.ts";
import type { Dispatch } from "../../kernel.ts";
import type { BuildContext, Variant } from "../../op.ts";
import { type FloatStorage, floatStorages } from "../../reading.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { batchWindows, epilogueOf, imagesOf, imageWindows } from "./batches.ts";
import { type GemmSizes, gemm } from "./gemm.wgsl.ts";
import {
  type Patches,
  packedWeightShape,
  packPatches,
  packWeights,
  patchBytes,
  type WeightLayout,
} from "./pack.wgsl.ts";
import { type Conv2dInputs, type Conv2dParams, type Conv2dShape, conv2dShape, type Pair } from "./spec.ts";

/** How a convolution becomes a product: patches to pack (none: x is read as it is), weights to pack (likewise). */
interface Plan {
  readonly patches: Patches | undefined;
  readonly weights: WeightLayout | undefined;
  /** All sizes but the number of stacks. */
  readonly sizes: Omit<GemmSizes, "stacks">;
}

const one: Pair = [1, 1];

function plan(s: Conv2dShape, { stride, padding, dilation }: Conv2dParams): Plan {
  const pixels = s.oh * s.ow;
  const pointwise = s.kh === 1 && s.kw === 1;
  const unpadded = padding[0] === 0 && padding[1] === 0;
  // patches that do not overlap (CLIP, SAM), and any 1 x 1: cut out, they are no more data than the image was
  const disjoint =
    unpadded && s.kh <= stride[0] && s.kw <= stride[1] && (pointwise || dilation.every((d) => d === 1));
  const whole = pointwise && unpadded && stride[0] === 1 && stride[1] === 1;
  const shared = { groups: s.groups, rows: s.og, pixels, ow: s.ow, blockHeight: 1, blockWidth: 1 };
  if (disjoint) {
    const k = s.cg * s.kh * s.kw;
    const planar = whole && pixels % 4 === 0 && k % 4 === 0;
    return {
      patches: planar
        ? undefined
        : {
            stacks: s.groups,
            channels: s.cg,
            h: s.h,
            w: s.w,
            size: [s.kh, s.kw],
            stride,
            padding,
            out: [s.oh, s.ow],
          },
      weights: k % 4 ? layout(s, k, 1) : undefined,
      sizes: {
        ...shared,
        quads: Math.ceil(k / 4),
        taps: 1,
        kw: 1,
        tapRow: 0,
        tapColumn: 0,
        plane: planar ? pixels / 4 : pixels,
        stepRow: s.ow,
        stepColumn: 1,
      },
    };
  }
  const height = s.h + 2 * padding[0];
  const width = s.w + 2 * padding[1];
  return {
    patches: {
      stacks: s.groups,
      channels: s.cg,
      h: s.h,
      w: s.w,
      size: one,
      stride: one,
      padding,
      out: [height, width],
    },
    weights: layout(s, s.cg, s.kh * s.kw),
    sizes: {
      ...shared,
      quads: Math.ceil(s.cg / 4),
      taps: s.kh * s.kw,
      kw: s.kw,
      tapRow: dilation[0] * width,
      tapColumn: dilation[1],
      plane: height * width,
      stepRow: stride[0] * width,
      stepColumn: stride[1],
    },
  };
}

/** [O, channels · taps], the taps innermost. */
function layout({ groups, og }: Conv2dShape, channels: number, taps: number): WeightLayout {
  const strideRow = channels * taps;
  return {
    groups,
    rows: og,
    taps,
    channels,
    strideGroup: og * strideRow,
    strideRow,
    strideTap: 1,
    strideChannel: taps,
  };
}

/** Whether the subgroup kernels run here: a known, small subgroup, as software adapters have. */
export function hasSmallSubgroups({ subgroups, subgroupSize }: Capabilities): boolean {
  return subgroups && (subgroupSize === 4 || subgroupSize === 8);
}

function build(
  storage: FloatStorage,
  { inputs, outputs, params, caps, scratch }: BuildContext<Conv2dInputs, Conv2dParams>,
): Dispatch[] {
  const { x, weight, bias, residual } = inputs;
  const y = outputs[0] as Tensor;
  const s = conv2dShape(inputs, params);
  const { patches, weights, sizes } = plan(s, params);
  const windows = batchWindows("conv2d", [x, y, residual], 1, caps, patchBytes(patches));
  const dispatches: Dispatch[] = [];
  let packedWeight = weight;
  if (weights) {
    packedWeight = scratch({ shape: packedWeightShape(weights), dtype: "f32" });
    dispatches.push(packWeights(weight, packedWeight, storage, weights));
  }
  const spec = {
    lanes: caps.subgroupSize,
    storage: weights ? ("f32" as const) : storage,
    planar: !patches,
    aligned: sizes.pixels % 4 === 0,
    blocks: false,
    epilogue: epilogueOf(inputs, params),
  };
  // one scratch for all windows: they run one after the other
  const most = Math.max(...windows.map((w) => w.count));
  const packed = patches && scratch({ shape: [most, patchBytes(patches) / 4], dtype: "f32" });
  for (const images of windows) {
    const stacks = images.count * s.groups;
    const source = imagesOf(x, images);
    if (packed) dispatches.push(packPatches(source, packed, { ...patches, stacks }));
    const tensors = {
      x: packed ?? source,
      weight: packedWeight,
      y: imagesOf(y, images),
      bias,
      residual: imagesOf(residual, images),
    };
    dispatches.push(gemm(spec, tensors, { ...sizes, stacks }));
  }
  return dispatches;
}

function subgroupVariant(storage: FloatStorage): Variant<Conv2dInputs, Conv2dParams> {
  return {
    name: `subgroup-${storage}`,
    supports(inputs, params, caps) {
      if (!hasSmallSubgroups(caps) || !floatStorages(inputs.weight.dtype, caps).includes(storage))
        return false;
      const s = conv2dShape(inputs, params);
      const { patches, weights } = plan(s, params);
      const limit = caps.limits.maxStorageBufferBindingSize;
      if (weights && 4 * sizeOf(packedWeightShape(weights)) > limit) return false;
      const y = { shape: [s.n, s.o, s.oh, s.ow], dtype: "f32" as const };
      return !!imageWindows([inputs.x, y, inputs.residual], 1, caps, patchBytes(patches));
    },
    build: (context) => build(storage, context),
  };
}

const storages: FloatStorage[] = ["f32", "f16", "packed"];

/** For adapters with small subgroups: pack the patches and the weights, then the subgroup product. */
export const subgroupVariants = storages.map(subgroupVariant);
