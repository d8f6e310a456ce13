import { ImageError } from "./errors.ts";

/** Pillow's resampling filters by their numbers, as `resample` of a processor config gives them. */
export const Resample = { NEAREST: 0, LANCZOS: 1, BILINEAR: 2, BICUBIC: 3, BOX: 4, HAMMING: 5 } as const;
export type Resample = (typeof Resample)[keyof typeof Resample];

/**
 * Whose uint8 arithmetic: Pillow's (weights of 22 fractional bits), or torchvision's for antialiased uint8 tensors on
 * a CPU (16-bit weights, as many fractional bits as the largest weight of the pass allows).
 */
export type ResizeBackend = "pil" | "torchvision";

/** Fixed-point weights of one pass: output i is the sum over k < counts[i] of weights[i*taps+k] * input[starts[i]+k]. */
export interface PassWeights {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** Stride of `weights` per output. */
  readonly taps: number;
  readonly weights: Int32Array;
  /** Fractional bits of `weights`. */
  readonly precision: number;
}

interface Filter {
  readonly support: number;
  readonly weight: (x: number) => number;
}

function sinc(x: number): number {
  if (x === 0) return 1;
  return Math.sin(x * Math.PI) / (x * Math.PI);
}

const FILTERS: Record<Exclude<Resample, 0>, Filter> = {
  [Resample.BOX]: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  [Resample.BILINEAR]: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  [Resample.HAMMING]: {
    support: 1,
    weight: (x) => {
      const t = Math.abs(x) * Math.PI;
      if (t === 0) return 1;
      return t >= Math.PI ? 0 : (Math.sin(t) / t) * (0.54 + 0.46 * Math.cos(t));
    },
  },
  [Resample.BICUBIC]: {
    support: 2,
    // Keys' kernel with a = -0.5, as Pillow and antialiased PyTorch have it (PyTorch without antialias has -0.75).
    weight: (x) => {
      const t = Math.abs(x);
      if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
      return t < 2 ? (((t - 5) * t + 8) * t - 4) * -0.5 : 0;
    },
  },
  [Resample.LANCZOS]: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

const PIL_PRECISION = 22;

/** The most fractional bits for which the largest weight still fits an int16. */
function int16Precision(largest: number): number {
  let precision = 0;
  while (precision < PIL_PRECISION && Math.trunc(0.5 + largest * 2 ** (precision + 1)) < 1 << 15) precision++;
  return precision;
}

/**
 * Weights that resample `inputSize` samples, of which [from, to) is used, to `outputSize`, kept for outputs
 * [first, first + count) only. The rule is that of Pillow's `precompute_coeffs` and of PyTorch's antialiased uint8
 * kernels: the filter is stretched by the scale when shrinking and normalised to sum to 1 before rounding.
 */
export function passWeights(
  resample: Exclude<Resample, 0>,
  backend: ResizeBackend,
  inputSize: number,
  from: number,
  to: number,
  outputSize: number,
  first: number,
  count: number,
): PassWeights {
  const filter = FILTERS[resample];
  // Pillow subtracts in single precision.
  const scale = Math.fround(to - from) / outputSize;
  const stretch = Math.max(1, scale);
  const support = filter.support * stretch;
  const inverse = 1 / stretch;
  const taps = Math.min(Math.ceil(support) * 2 + 1, inputSize);
  if (count * taps > 2 ** 28) {
    throw new ImageError(
      "BAD_SIZE",
      `resizing ${inputSize} to ${outputSize} samples needs ${count * taps} weights`,
    );
  }
  const starts = new Int32Array(count);
  const counts = new Int32Array(count);
  const real = new Float64Array(count * taps);
  // torchvision's precision follows from the largest weight of the whole pass, so it is looked for before the window
  // is cut; it only depends on the phase, but phases are not periodic in general.
  let largest = 0;
  const row = new Float64Array(taps);
  const [begin, end] = backend === "pil" ? [first, first + count] : [0, outputSize];
  for (let out = begin; out < end; out++) {
    const center = from + (out + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const length = Math.min(inputSize, Math.trunc(center + support + 0.5)) - start;
    let total = 0;
    for (let k = 0; k < length; k++) {
      const w = filter.weight((k + start - center + 0.5) * inverse);
      row[k] = w;
      total += w;
    }
    const index = out - first;
    const kept = index >= 0 && index < count;
    for (let k = 0; k < length; k++) {
      const w = total === 0 ? row[k]! : row[k]! / total;
      largest = Math.max(largest, w);
      if (kept) real[index * taps + k] = w;
    }
    if (kept) {
      starts[index] = start;
      counts[index] = length;
    }
  }
  const precision = backend === "pil" ? PIL_PRECISION : int16Precision(largest);
  const weights = new Int32Array(count * taps);
  for (let i = 0; i < weights.length; i++) {
    const w = real[i]! * 2 ** precision;
    weights[i] = Math.trunc(w < 0 ? w - 0.5 : w + 0.5);
  }
  return { starts, counts, taps, weights, precision };
}
