import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { type Pair, pairOf } from "../conv2d/spec.ts";
import { directVariant } from "./direct.wgsl.ts";
import { nearestVariant } from "./nearest.wgsl.ts";
import { resize2dReference } from "./reference.ts";
import { separableVariant } from "./separable.wgsl.ts";
import {
  filterRadius,
  type Resize2dInputs,
  type Resize2dParams,
  type ResizeMode,
  resize2dShape,
} from "./spec.ts";

export type { ResizeMode } from "./spec.ts";

export const resize2dOp: Op<Resize2dInputs, Resize2dParams> = {
  name: "resize2d",
  infer({ x }, params) {
    const { oh, ow } = resize2dShape({ x }, params);
    return [{ shape: [...x.shape.slice(0, 2), oh, ow], dtype: "f32" }];
  },
  variants: [nearestVariant, directVariant, separableVariant],
  reference: resize2dReference,
  cost({ x }, [y], params) {
    const { h, w, oh, ow } = resize2dShape({ x }, params);
    const n = sizeOf(y?.shape ?? []);
    const taps = (scale: number) => 2 * filterRadius(params.mode) * Math.max(1, params.antialias ? scale : 1);
    const flops = params.mode === "nearest" ? 0 : 2 * n * (taps(h / oh) + taps(w / ow));
    return { flops, bytes: 4 * (sizeOf(x.shape) + n) };
  },
};

export interface Resize2dOptions {
  readonly mode: ResizeMode;
  /** Widen the filter when shrinking. Default false. */
  readonly antialias?: boolean;
  /** Default false: half-pixel centres. */
  readonly alignCorners?: boolean;
}

/**
 * As torch.nn.functional.interpolate(x, size): `bilinear`, `bicubic` (a = -0.75; antialiased a = -0.5) and `nearest`, up
 * or down. x [N, C, H, W] f32 -> [N, C, size...].
 */
export function resize2d(cmd: Recorder, x: Tensor, size: number | Pair, options: Resize2dOptions): Tensor {
  const { mode, antialias = false, alignCorners = false } = options;
  return cmd.call1(resize2dOp, { x }, { size: pairOf(size), mode, antialias, alignCorners });
}
