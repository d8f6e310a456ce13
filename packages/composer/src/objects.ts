import type { Box, Pixels, SamMasks } from "@mask-llava/models";
import { ComposeError } from "./errors.ts";
import { backgroundMask, boxMask, distinctFilter, type Mask, maskArea } from "./masks.ts";
import type { Networks } from "./networks.ts";
import type { ObjectCandidate } from "./visual-tokens.ts";

/** Objects that the caller names instead of a detector. */
export interface GivenObjects {
  /** (x0, y0, x1, y1) in pixels of the picture. */
  readonly boxes?: readonly Box[] | undefined;
  /** At the picture's size. */
  readonly masks?: readonly Mask[] | undefined;
}

/** What may become an object token. */
export interface FoundObject extends ObjectCandidate {
  readonly mask: Mask;
  /** The detection, or around the mask. */
  readonly box: Box;
}

export interface ObjectTimings {
  readonly detect: number;
  readonly segment: number;
}

interface Proposal {
  readonly box: Box;
  readonly score: number;
}

/**
 * Boxes, then masks, then what is worth a token: detections above the threshold without near duplicates, SAM's best mask of
 * each, without masks that vanish or duplicate a better one, best first, and at last the background.
 */
export async function findObjects(
  picture: Pixels,
  networks: Networks,
  given: GivenObjects,
): Promise<{ objects: FoundObject[]; timings: ObjectTimings }> {
  const { settings } = networks;
  const started = performance.now();
  const proposals = given.masks ? undefined : await propose(picture, networks, given.boxes);
  const detected = performance.now();
  const options = {
    minArea: settings.objects.min_area,
    iou: settings.objects.mask_nms,
    most: settings.max_objects,
  };
  // what a caller names is wanted: it is neither filtered nor cut
  const keeps = given.boxes ? () => true : distinctFilter(options);
  const masked = given.masks
    ? ownMasks(picture, given.masks)
    : await segment(picture, networks, proposals, keeps);
  const pixels = picture.width * picture.height;
  const objects = masked.map(({ mask, box, score }): FoundObject => {
    return { kind: "object", score, box, mask, area: maskArea(mask) / pixels };
  });
  if (settings.background) objects.push(background(objects, picture));
  return { objects, timings: { detect: detected - started, segment: performance.now() - detected } };
}

interface MaskedProposal extends Proposal {
  readonly mask: Mask;
}

function background(objects: readonly FoundObject[], picture: Pixels): FoundObject {
  const mask = backgroundMask(
    objects.map((o) => o.mask),
    picture,
  );
  const area = maskArea(mask) / (picture.width * picture.height);
  return { kind: "background", score: 0, area, mask, box: [0, 0, picture.width, picture.height] };
}

/** Boxes, best first; undefined where points on a grid have to propose. */
async function propose(
  picture: Pixels,
  { detector, segmenter, settings }: Networks,
  boxes: readonly Box[] | undefined,
): Promise<Proposal[] | undefined> {
  if (boxes) return boxes.map((box, i) => ({ box: checkBox(box, i, picture), score: 1 }));
  if (detector) {
    const { score_threshold: threshold, box_nms: nmsIou } = settings.objects;
    return detector.objects(await detector.detect(picture), { threshold, nmsIou });
  }
  if (segmenter) return undefined;
  throw new ComposeError("the checkpoint has neither a detector nor a segmenter: give boxes or masks");
}

/** Masks are as large as the picture and proposals many, so that `keeps` decides on each, best first, as it is made. */
async function segment(
  picture: Pixels,
  { segmenter, settings }: Networks,
  proposals: readonly Proposal[] | undefined,
  keeps: (mask: Mask) => boolean,
): Promise<MaskedProposal[]> {
  if (proposals?.length === 0) return [];
  if (!segmenter) {
    return (proposals ?? []).flatMap((proposal) => {
      const mask = boxMask(proposal.box, picture);
      return keeps(mask) ? [{ ...proposal, mask }] : [];
    });
  }
  using image = await segmenter.encode(picture);
  if (proposals) {
    using masks = await segmenter.decode(image, { boxes: proposals.map(({ box }) => box) });
    const kept = await bestMasks(masks, keeps);
    return kept.map(({ mask, prompt }) => ({ ...(proposals[prompt] as Proposal), mask }));
  }
  const side = settings.objects.point_grid;
  const points = Array.from({ length: side * side }, (_, i) => [
    {
      x: (((i % side) + 0.5) * picture.width) / side,
      y: ((Math.floor(i / side) + 0.5) * picture.height) / side,
      label: 1,
    },
  ]);
  using masks = await segmenter.decode(image, { points });
  const { scores } = masks.best();
  const scoreOf = (prompt: number) => scores[prompt] as number;
  const bestFirst = points.map((_, prompt) => prompt).sort((a, b) => scoreOf(b) - scoreOf(a));
  const kept = await bestMasks(masks, keeps, bestFirst);
  return kept.map(({ mask, prompt }) => ({ mask, box: boundingBox(mask), score: scoreOf(prompt) }));
}

/** The masks that are kept, each with the prompt that it answers. */
async function bestMasks(masks: SamMasks, keeps: (mask: Mask) => boolean, order?: readonly number[]) {
  const { height, width } = masks.size;
  const kept: { readonly mask: Mask; readonly prompt: number }[] = [];
  await masks.visitBestMasks((data, prompt) => {
    const mask = { height, width, data };
    if (keeps(mask)) kept.push({ mask, prompt });
  }, order);
  return kept;
}

function ownMasks(picture: Pixels, masks: readonly Mask[]): MaskedProposal[] {
  return masks.map((mask, i) => {
    if (mask.width !== picture.width || mask.height !== picture.height) {
      throw new ComposeError(
        `mask ${i} is ${mask.width}x${mask.height}, the picture ${picture.width}x${picture.height}`,
      );
    }
    return { mask, box: boundingBox(mask), score: 1 };
  });
}

function checkBox(box: Box, index: number, { width, height }: Pixels): Box {
  const [x0, y0, x1, y1] = box;
  const inside = x0 >= 0 && y0 >= 0 && x1 <= width && y1 <= height;
  if (box.every(Number.isFinite) && inside && x0 < x1 && y0 < y1) return box;
  throw new ComposeError(
    `box ${index} is ${box.join(",")}; expected x0,y0,x1,y1 with x0 < x1 and y0 < y1 within the picture of ${width}x${height}`,
  );
}

/** The smallest box around a mask; empty at the origin for an empty mask. */
export function boundingBox({ width, height, data }: Mask): Box {
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!data[y * width + x]) continue;
      x0 = Math.min(x0, x);
      y0 = Math.min(y0, y);
      x1 = Math.max(x1, x + 1);
      y1 = Math.max(y1, y + 1);
    }
  }
  return x1 > x0 ? [x0, y0, x1, y1] : [0, 0, 0, 0];
}
