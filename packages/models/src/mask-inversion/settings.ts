import { RuntimeError } from "@mask-llava/runtime";
import type { Size } from "../images/index.ts";

/** A setting, a mask or a picture that MaskInversion cannot work with. The message says which, what was found, and what was expected. */
export class MaskInversionError extends RuntimeError {
  constructor(what: string, found: unknown, expected: string) {
    super("MASK_INVERSION", `MaskInversion: ${what} is ${String(found)}, expected ${expected}`);
  }
}

/**
 * Where embeddings live: `projected`, CLIP's joint space [E], as the reference; `hidden`, the tower's width [D], the same
 * optimisation with the projection left out.
 */
export type EmbeddingSpace = "projected" | "hidden";

/** What an image is prepared for; fixed for a `MaskInversion`. */
export interface MaskInversionSettings {
  /** Default `projected`. */
  readonly space?: EmbeddingSpace;
  /**
   * The first block whose attention is explained, -1 being the last: maps of it and all behind it are added
   * (`layer_index` of the reference). Default -1.
   */
  readonly layer?: number;
  /** What pictures are resized to, without cropping; default: the model's own size, a square. */
  readonly imageSize?: number | Size;
}

/** How embeddings are optimised. */
export interface InversionOptions {
  /** Default 10. */
  readonly iterations?: number;
  /** Default 0.1. */
  readonly lr?: number;
  /** How strongly an embedding is held to the image's: weight of 1 - cos. Default 0. */
  readonly alpha?: number;
  /** AdamW's. Default 0. */
  readonly weightDecay?: number;
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** AdamW's. Default 1e-8. */
  readonly epsilon?: number;
  /** Whether explainability maps at the masks' size are wanted. Default true. */
  readonly maps?: boolean;
  /**
   * Bytes that the activations of masks optimised together may take; more masks are done in turns. Default: 1 GiB, or half
   * of what is left of the device's budget if that is less. One mask is always done.
   */
  readonly memoryLimit?: number;
  /** Looked at between masks that are done in turns, and between steps. */
  readonly signal?: AbortSignal | undefined;
}

/** `InversionOptions` with every default filled in. */
export interface ResolvedOptions {
  readonly iterations: number;
  readonly lr: number;
  readonly alpha: number;
  readonly weightDecay: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly maps: boolean;
  readonly memoryLimit: number | undefined;
  readonly signal: AbortSignal | undefined;
}

function check(what: string, value: number, valid: boolean, expected: string): void {
  if (!valid) throw new MaskInversionError(what, value, expected);
}

const mostIterations = 100_000;

/** @throws MaskInversionError */
export function resolveOptions(options: InversionOptions): ResolvedOptions {
  const { iterations = 10, lr = 0.1, alpha = 0, weightDecay = 0, epsilon = 1e-8 } = options;
  const { betas = [0.9, 0.999], maps = true, memoryLimit, signal } = options;
  check(
    "iterations",
    iterations,
    Number.isInteger(iterations) && iterations >= 1 && iterations <= mostIterations,
    `a whole number from 1 to ${mostIterations}`,
  );
  check("lr", lr, Number.isFinite(lr) && lr > 0, "a positive number");
  check("alpha", alpha, Number.isFinite(alpha) && alpha >= 0, "a number of at least 0");
  check(
    "weight decay",
    weightDecay,
    Number.isFinite(weightDecay) && weightDecay >= 0,
    "a number of at least 0",
  );
  check("epsilon", epsilon, Number.isFinite(epsilon) && epsilon > 0, "a positive number");
  for (const beta of betas) check("a beta", beta, beta >= 0 && beta < 1, "a number from 0 to below 1");
  if (memoryLimit !== undefined) check("memory limit", memoryLimit, memoryLimit > 0, "a number of bytes");
  return { iterations, lr, alpha, weightDecay, betas, epsilon, maps, memoryLimit, signal };
}

/**
 * The number of blocks explained, counted from the last.
 * @throws MaskInversionError
 */
export function blocksUsed(layer: number, blocks: number): number {
  const first = layer < 0 ? blocks + layer : layer;
  if (!Number.isInteger(layer) || first < 0 || first >= blocks) {
    throw new MaskInversionError("layer", layer, `a block from ${-blocks} to ${blocks - 1}`);
  }
  return blocks - first;
}
