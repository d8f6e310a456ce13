import { type Activation, type Conv2dOptions, conv2d, type Recorder, type Tensor } from "@mask-llava/runtime";
import { CheckpointError, type FloatDType, type Weights } from "../checkpoint/index.ts";

/** Added to the running variance, whatever the backbone's own norm had (`DeformableDetrFrozenBatchNorm2d`). */
const eps = 1e-5;
const largestFloat16 = 65504;

/** What folding needs to know beside the weights. */
export interface FoldOptions {
  /** Of the folded weight; the bias is f32. */
  readonly dtype: FloatDType;
  /** The checkpoint, for messages. */
  readonly file: string;
}

export interface ConvSizes {
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
}

/**
 * A convolution and the frozen batch norm behind it as one: W' = W · s, b' = bias - mean · s with
 * s = weight / sqrt(variance + eps), computed once in f64 when the weights are loaded.
 */
export class FoldedConv {
  readonly weight: Tensor; // [O, I, k, k]
  readonly bias: Tensor; // [O]
  readonly sizes: ConvSizes;

  /** Takes `convolution.weight` and `normalization.{weight,bias,running_mean,running_var}` below the cursor. */
  constructor(w: Weights, sizes: ConvSizes, { dtype, file }: FoldOptions) {
    const { inputs, outputs, kernel } = sizes;
    this.sizes = sizes;
    const channel = (name: string) => ({ name: `normalization.${name}`, shape: [outputs] });
    const scales = { gain: channel("weight"), variance: channel("running_var") };
    const fail = (problem: string): never => {
      throw new CheckpointError(problem, { file, tensor: w.path() });
    };
    this.weight = w.derive({
      label: "convolution.weight folded with its batch norm",
      shape: [outputs, inputs, kernel, kernel],
      dtype,
      from: {
        ...scales,
        kernel: { name: "convolution.weight", shape: [outputs, inputs, kernel, kernel] },
      },
      compute: (t) => foldWeight(t as FoldInputs, dtype, fail),
    });
    this.bias = w.derive({
      label: "convolution bias folded from its batch norm",
      shape: [outputs],
      dtype: "f32",
      from: { ...scales, shift: channel("bias"), mean: channel("running_mean") },
      compute: (t) => foldBias(t as FoldInputs, fail),
    });
  }

  /** x [B, I, h, w] -> activation(W' x + b' + residual) [B, O, ceil(h / stride), ceil(w / stride)] */
  forward(cmd: Recorder, x: Tensor, options: { activation?: Activation; residual?: Tensor } = {}): Tensor {
    const { kernel, stride, dilation } = this.sizes;
    const padding = Math.floor(kernel / 2) * dilation;
    const all: Conv2dOptions = { ...options, bias: this.bias, stride, padding, dilation, addFirst: true };
    return conv2d(cmd, x, this.weight, all);
  }
}

type FoldInputs = Readonly<Record<"gain" | "variance" | "kernel" | "shift" | "mean", Float32Array>>;
type Fail = (problem: string) => never;

function scaleOf({ gain, variance }: FoldInputs, channel: number, fail: Fail): number {
  const v = variance[channel] as number;
  const scale = (gain[channel] as number) / Math.sqrt(v + eps);
  if (!(v >= 0) || !Number.isFinite(scale)) {
    fail(`the batch norm of channel ${channel} has variance ${v} and weight ${gain[channel]}`);
  }
  return scale;
}

function foldWeight(t: FoldInputs, dtype: FloatDType, fail: Fail): Float32Array {
  const out = new Float32Array(t.kernel.length);
  const perChannel = out.length / t.gain.length;
  const limit = dtype === "f16" ? largestFloat16 : Number.MAX_VALUE;
  for (let o = 0; o < t.gain.length; o++) {
    const scale = scaleOf(t, o, fail);
    for (let i = o * perChannel; i < (o + 1) * perChannel; i++) {
      const value = (t.kernel[i] as number) * scale;
      if (!(Math.abs(value) <= limit)) {
        fail(`folded with its batch norm, element ${i} is ${value}, which does not fit ${dtype}`);
      }
      out[i] = value;
    }
  }
  return out;
}

function foldBias(t: FoldInputs, fail: Fail): Float32Array {
  return t.shift.map((shift, o) => {
    const value = shift - (t.mean[o] as number) * scaleOf(t, o, fail);
    return Number.isFinite(value) ? value : fail(`the batch norm of channel ${o} shifts by ${value}`);
  });
}
