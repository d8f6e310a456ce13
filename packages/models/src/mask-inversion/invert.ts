import { CancelledError, type Device, formatSpec, Tensor } from "@mask-llava/runtime";
import type { PatchGrid } from "../clip/index.ts";
import type { Size } from "../images/index.ts";
import { allOrNone, checkFinite } from "../nn/index.ts";
import type { LinearizedImage } from "./linearize.ts";
import type { ResamplingTensors } from "./maps.ts";
import { type BatchContext, type BatchResult, bytesPerMask, MaskBatch } from "./mask-batch.ts";
import { mapResampling } from "./resampling.ts";
import {
  type InversionOptions,
  MaskInversionError,
  type ResolvedOptions,
  resolveOptions,
} from "./settings.ts";

/** A soft or binary mask, 0 outside to 1 inside. [H, W] */
export interface HostMask extends Size {
  readonly data: Float32Array;
}

/** Masks of one size: on the host, or on the GPU as a segmenter left them, f32 [M, H, W]; the caller keeps them. */
export type InversionMasks = readonly HostMask[] | Tensor;

/** An image that a program has linearised, and where its patches lie. */
export interface InversionContext {
  readonly device: Device;
  readonly image: LinearizedImage;
  readonly grid: PatchGrid;
  /** Pixels of a patch's side. */
  readonly patch: number;
}

interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface Inversion {
  /** The image's embedding, a row a mask: what they start as. [M, E] */
  readonly initialEmbedding: HostTensor;
  /** After the last step. [M, E] */
  readonly embeddings: HostTensor;
  /** Mean over the masks of the dice loss (the alpha term apart), before each step. [steps] */
  readonly diceLosses: Float32Array;
  /** The same of each mask. [M, steps] */
  readonly maskDiceLosses: HostTensor;
  /** Before the first step. [M, H, W]; absent where maps were not asked for. */
  readonly firstExplainabilityMaps?: HostTensor;
  /** Of the last step, before its update, as the reference returns them. [M, H, W] */
  readonly explainabilityMaps?: HostTensor;
}

/**
 * Optimises an embedding for each mask of an image. The image's program must have run (or been submitted).
 * @throws MaskInversionError for no masks, masks of several sizes, values outside 0 to 1 (of masks on the host);
 * RuntimeError NOT_FINITE for weights or a learning rate that lead to no numbers; CancelledError
 */
export async function invertMasks(
  context: InversionContext,
  masks: InversionMasks,
  options: InversionOptions = {},
): Promise<Inversion> {
  const resolved = resolveOptions(options);
  const { device, image } = context;
  const { count, height, width } = masks instanceof Tensor ? checkTensor(masks) : checkMasks(masks);
  const parts: BatchResult[] = [];
  const shared = new SharedTensors(context, { height, width });
  try {
    const batchContext: BatchContext = { ...context, ...shared.tensors, total: count, options: resolved };
    // turns of nearly equal size need at most two sizes of program
    const turns = Math.ceil(count / masksAtOnce(context, height * width, resolved));
    for (let turn = 0; turn < turns; turn++) {
      if (resolved.signal?.aborted) throw new CancelledError();
      const [from, to] = [turn, turn + 1].map((i) => Math.round((i * count) / turns)) as [number, number];
      using batch = new MaskBatch();
      if (masks instanceof Tensor) {
        parts.push(await batch.run(batchContext, masks, from, to));
      } else {
        using part = upload(device, masks.slice(from, to));
        parts.push(await batch.run(batchContext, part, 0, to - from));
      }
    }
  } finally {
    shared.dispose();
  }
  return inversionOf(parts, (await device.read(image.embedding)) as Float32Array, { count, height, width });
}

/** How many masks are optimised together. */
function masksAtOnce({ device, image }: InversionContext, pixels: number, options: ResolvedOptions): number {
  const { live, budget } = device.memory();
  const limit = options.memoryLimit ?? Math.min(2 ** 30, (budget - live) / 2);
  return Math.max(1, Math.floor(limit / bytesPerMask(image, pixels)));
}

function inversionOf(
  parts: readonly BatchResult[],
  embedding: Float32Array,
  { count, height, width }: Size & { readonly count: number },
): Inversion {
  const joined = (pick: (part: BatchResult) => Float32Array | undefined, shape: readonly number[]) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    let at = 0;
    for (const part of parts) {
      const values = pick(part) ?? new Float32Array(0);
      data.set(values, at);
      at += values.length;
    }
    return { shape, data };
  };
  checkFinite("MaskInversion's embedding of the picture", embedding);
  const initial = new Float32Array(count * embedding.length);
  for (let m = 0; m < count; m++) initial.set(embedding, m * embedding.length);
  const steps = parts.reduce((sum, p) => sum + p.losses.length, 0) / count;
  const maskDiceLosses = joined((p) => p.losses, [count, steps]);
  checkFinite("MaskInversion's losses", maskDiceLosses.data);
  const embeddings = joined((p) => p.embeddings, [count, embedding.length]);
  checkFinite("MaskInversion's embeddings of the masks", embeddings.data);
  const diceLosses = Float32Array.from({ length: steps }, (_, k) => {
    let sum = 0;
    for (let m = 0; m < count; m++) sum += maskDiceLosses.data[m * steps + k] as number;
    return sum / count;
  });
  const maps = [count, height, width];
  return {
    initialEmbedding: { shape: [count, embedding.length], data: initial },
    embeddings,
    diceLosses,
    maskDiceLosses,
    ...(parts[0]?.maps && {
      firstExplainabilityMaps: joined((p) => p.firstMaps, maps),
      explainabilityMaps: joined((p) => p.maps, maps),
    }),
  };
}

/** Resampling between patches and pixels of a size, on the GPU. */
export class SharedTensors implements Disposable {
  readonly tensors: { readonly resampling: ResamplingTensors; readonly area: Tensor };

  constructor({ device, grid, patch }: InversionContext, size: Size) {
    const { rows, columns, area } = mapResampling(grid, patch, size);
    this.tensors = allOrNone((own) => {
      const make = (label: string, shape: readonly number[], data: Float32Array) =>
        own(device.tensor({ shape, dtype: "f32", label }, data));
      return {
        area: make("area", [area.length], area),
        resampling: {
          rowsForward: make("rows", [rows.pixels, rows.patches], rows.forward),
          rowsAdjoint: make("rows", [rows.patches, rows.pixels], rows.adjoint),
          columnsForward: make("columns", [columns.pixels, columns.patches], columns.forward),
          columnsAdjoint: make("columns", [columns.patches, columns.pixels], columns.adjoint),
        },
      };
    });
  }

  dispose(): void {
    const { area, resampling } = this.tensors;
    for (const tensor of [area, ...Object.values(resampling)]) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function checkTensor(masks: Tensor): Size & { count: number } {
  const [count, height, width] = masks.shape as [number, number, number];
  if (masks.dtype !== "f32" || masks.shape.length !== 3 || masks.size < 1)
    throw new MaskInversionError(
      "the mask tensor",
      formatSpec(masks),
      "f32 [M, H, W] with at least one mask",
    );
  return { count, height, width };
}

function checkMasks(masks: readonly HostMask[]): Size & { count: number } {
  const [first] = masks;
  if (!first) throw new MaskInversionError("the number of masks", 0, "at least one");
  const { height, width } = first;
  masks.forEach((mask, i) => {
    if (mask.height !== height || mask.width !== width) {
      const found = `${mask.width}x${mask.height}`;
      throw new MaskInversionError(`the size of mask ${i}`, found, `${width}x${height}, that of mask 0`);
    }
    if (!(height >= 1 && width >= 1) || mask.data.length !== height * width) {
      const found = `${mask.data.length} values`;
      throw new MaskInversionError(`mask ${i}`, found, `${height * width}, for ${width}x${height} pixels`);
    }
    const bad = mask.data.findIndex((v) => !(v >= 0 && v <= 1));
    if (bad >= 0) throw new MaskInversionError(`value ${bad} of mask ${i}`, mask.data[bad], "from 0 to 1");
  });
  return { count: masks.length, height, width };
}

function upload(device: Device, masks: readonly HostMask[]): Tensor {
  const { height, width } = masks[0] as HostMask;
  const tensor = device.tensor({ shape: [masks.length, height, width], dtype: "f32", label: "masks" });
  const pixels = height * width;
  // written at once: a mask may start at any byte, and writes start at whole words
  const data = new Float32Array(masks.length * pixels);
  masks.forEach((mask, i) => {
    data.set(mask.data, i * pixels);
  });
  device.write(tensor, data);
  return tensor;
}
