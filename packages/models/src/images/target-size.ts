import { ImageError } from "./errors.ts";
import type { Size } from "./pixels.ts";

/**
 * What a picture is resized to, as Hugging Face's processors compute it:
 * - `exact`: to height x width, whatever the aspect;
 * - `shortest`: the shorter edge to `shortest`, the longer in proportion (CLIP, LLaVA);
 * - `shortest-longest`: the same, but no edge longer than `longest` (DETR);
 * - `longest`: the longer edge to `longest`, both rounded to nearest (SAM);
 * - `fit`: as large as fits height x width.
 */
export type SizeRule =
  | { readonly kind: "exact"; readonly height: number; readonly width: number }
  | { readonly kind: "shortest"; readonly shortest: number }
  | { readonly kind: "shortest-longest"; readonly shortest: number; readonly longest: number }
  | { readonly kind: "longest"; readonly longest: number }
  | { readonly kind: "fit"; readonly height: number; readonly width: number };

/**
 * The size that `rule` gives a picture of `original` size. The order of operations is the reference's, as its results
 * are truncated. Reference: transformers `image_transforms.py` and `models/sam/image_processing_pil_sam.py`.
 * @throws ImageError BAD_SIZE when an edge would vanish (a 20000x1 picture under a longest edge, say).
 */
export function targetSize(original: Size, rule: SizeRule): Size {
  const size = compute(original, rule);
  if (size.height < 1 || size.width < 1) {
    throw new ImageError(
      "BAD_SIZE",
      `a ${original.width}x${original.height} picture would be resized to ${size.width}x${size.height}: its aspect is too extreme for ${JSON.stringify(rule)}`,
    );
  }
  return size;
}

function compute({ height, width }: Size, rule: SizeRule): Size {
  switch (rule.kind) {
    case "exact":
      return { height: rule.height, width: rule.width };
    case "shortest": {
      const long = Math.trunc((rule.shortest * Math.max(height, width)) / Math.min(height, width));
      return width <= height
        ? { height: long, width: rule.shortest }
        : { height: rule.shortest, width: long };
    }
    case "shortest-longest":
      return withLongest({ height, width }, rule.shortest, rule.longest);
    case "longest": {
      const scale = rule.longest / Math.max(height, width);
      return { height: Math.trunc(height * scale + 0.5), width: Math.trunc(width * scale + 0.5) };
    }
    case "fit": {
      const scale = Math.min(rule.height / height, rule.width / width);
      return { height: Math.trunc(height * scale), width: Math.trunc(width * scale) };
    }
  }
}

function withLongest({ height, width }: Size, shortest: number, longest: number): Size {
  const min = Math.min(height, width);
  const max = Math.max(height, width);
  const capped = (max / min) * shortest > longest;
  const exact = capped ? (longest * min) / max : shortest;
  const short = capped ? roundHalfEven(exact) : shortest;
  if (min === short) return { height, width };
  // The longer edge follows from the shorter one before rounding.
  return width < height
    ? { height: Math.trunc((exact * height) / width), width: short }
    : { height: short, width: Math.trunc((exact * width) / height) };
}

/** Python's `round`. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
