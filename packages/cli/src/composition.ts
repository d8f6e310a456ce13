import { basename } from "node:path";
import type { Composed, MaskLlavaSettings, TokenKind } from "@mask-llava/composer";
import type { Pixels } from "@mask-llava/models";
import type { BudgetFlags } from "./budget-flags.ts";
import { type CocoDocument, cocoAnnotations, cocoDocument, encodeRle } from "./coco/index.ts";
import { maskPictures } from "./mask-files.ts";
import type { CompositionOutput, PictureOutput } from "./output.ts";
import type { Outputs } from "./output-files.ts";
import { drawTokenSheet } from "./pictures/index.ts";
import type { SavedTensors } from "./save-tensors.ts";

/** Numbers of the kinds in `token_kinds`. */
const kindNumbers: Readonly<Record<TokenKind, number>> = { cls: 0, patch: 1, object: 2, background: 3 };

/** A picture's visual tokens, and what they were made of. */
export interface Composition {
  readonly picture: Pixels;
  readonly named: PictureOutput;
  readonly composed: Composed;
  readonly settings: MaskLlavaSettings;
}

/**
 * `visual_tokens` [N, Dw], `visual_embeds` [N, D], `token_kinds` [N] and, for the object and background tokens among them
 * in their order, `boxes` [K, 4], `masks` [K, H, W] and `object_scores` [K].
 */
export function compositionTensors({ picture, composed }: Composition): SavedTensors {
  const { visualTokens, visualEmbeds, kinds, tokenObjects, objects } = composed;
  const kept = tokenObjects.flatMap((index) => objects[index] ?? []);
  const size = picture.width * picture.height;
  const masks = new Float32Array(kept.length * size);
  for (const [i, { mask }] of kept.entries()) masks.set(mask.data, i * size);
  return {
    visual_tokens: visualTokens,
    visual_embeds: visualEmbeds,
    token_kinds: { shape: [kinds.length], data: Int32Array.from(kinds, (kind) => kindNumbers[kind]) },
    boxes: { shape: [kept.length, 4], data: Float32Array.from(kept.flatMap(({ box }) => [...box])) },
    masks: { shape: [kept.length, picture.height, picture.width], data: masks },
    object_scores: { shape: [kept.length], data: Float32Array.from(kept, ({ score }) => score) },
  };
}

/** Tokens without a budget. */
function availableTokens({ composed, settings }: Composition): number {
  const [rows, columns] = settings.patch_grid;
  return 1 + rows * columns + composed.objects.length;
}

export function compositionOutput(composition: Composition): CompositionOutput {
  const { kinds, composition: plan, objects } = composition.composed;
  const kept = new Set(plan.objects);
  return {
    tokens: { kept: kinds.length, available: availableTokens(composition) },
    cls: plan.cls,
    patches: plan.patches,
    objects: objects.map(({ kind, score, area, box, mask }, i) => {
      return { kind, kept: kept.has(i), score, area, box, mask: encodeRle(mask) };
    }),
  };
}

/** Every object that could have become a token; the background is none. */
export function compositionCoco({ named }: Composition, { objects }: CompositionOutput): CocoDocument {
  const found = objects.filter(({ kind }) => kind === "object");
  const pixels = named.width * named.height;
  const annotations = found.map(({ box, score, area, mask }) => ({
    box,
    score,
    category: 0,
    mask: { rle: mask, area: Math.round(area * pixels) },
  }));
  return cocoDocument(named, ["object"], cocoAnnotations(annotations));
}

/** What a composition has to save, but for tensors. `lines` are said on the sheet. */
export function compositionFiles(
  composition: Composition,
  coco: CocoDocument,
  flags: BudgetFlags,
  lines: readonly string[],
): Omit<Outputs, "tensors"> {
  const { objects } = composition.composed;
  return {
    picture: () => drawSheet(composition, flags, lines),
    coco: () => coco,
    masks: () =>
      maskPictures(
        objects.map(({ mask, kind }) => ({ ...mask, ...(kind === "background" && { name: "background" }) })),
      ),
  };
}

function drawSheet(composition: Composition, flags: BudgetFlags, lines: readonly string[]): Pixels {
  const { picture, named, composed, settings } = composition;
  const { objects, maps, composition: plan, processed } = composed;
  const kept = new Set(plan.objects);
  const available = availableTokens(composition);
  const count = composed.kinds.length;
  const mapOf = (i: number) => {
    if (!maps) return undefined;
    const [, height, width] = maps.shape as [number, number, number];
    return { height, width, data: maps.data.subarray(i * height * width, (i + 1) * height * width) };
  };
  return drawTokenSheet(
    {
      picture,
      geometry: processed.geometry,
      cls: plan.cls,
      patches: plan.patches,
      fullGrid: settings.patch_grid,
      objects: objects.map(({ kind, score, area, mask }, i) => {
        return { kind, score, area, mask, map: mapOf(i), kept: kept.has(i) };
      }),
    },
    {
      title: `${count < available ? `${count} of ${available}` : count} visual tokens of ${basename(named.file)}`,
      lines: [describeTokens(composed, flags), ...lines],
    },
  );
}

const policyWords = {
  score: "the objects of the best scores stay",
  area: "the largest objects stay",
  diverse: "the objects that differ most stay",
  random: "objects stay by lot",
} as const;

/** The kept tokens by kind, in words. */
export function describeTokens({ kinds, objects }: Composed, { dropPolicy = "score" }: BudgetFlags): string {
  const count = (kind: TokenKind) => kinds.filter((k) => k === kind).length;
  const all = objects.filter(({ kind }) => kind === "object").length;
  const kept = count("object");
  const patches = count("patch");
  const parts = [
    ...(count("cls") ? ["[CLS]"] : []),
    ...(patches ? [`${patches} ${patches === 1 ? "patch" : "patches"}`] : []),
    kept < all ? `${kept} of ${all} objects` : `${kept} ${kept === 1 ? "object" : "objects"}`,
    ...(count("background") ? ["background"] : []),
    ...(kept < all ? [policyWords[dropPolicy]] : []),
  ];
  return parts.join(" · ");
}
