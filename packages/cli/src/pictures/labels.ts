import type { Box, Size } from "@mask-llava/models";
import { css, type Rgb } from "./colours.ts";
import { type Chip, chip, chipSize } from "./page.ts";

/** A box with what is written at it, in the coordinates of what it is drawn on. */
export interface LabelledBox {
  readonly box: Box;
  readonly text: string;
  readonly colour: Rgb;
  /** Default: solid. `none`: the label alone, in the middle. */
  readonly line?: "solid" | "dashed" | "none";
}

/**
 * Boxes with labels within a frame whose left top corner is at (`left`, `top`). A label sits above its box, or at the next
 * best place where it would cover another one or leave the frame. The first boxes are drawn on top.
 */
export function labelledBoxes(
  boxes: readonly LabelledBox[],
  frame: Size & { readonly left: number; readonly top: number },
  size: number,
): string[] {
  const placed: Chip[] = [];
  const chips = boxes.map(({ box, text, colour, line }) => {
    if (!text) return "";
    const place = placeLabel(box, chipSize(text, size), frame, placed, line === "none");
    placed.push(place);
    return chip(text, { ...place, x: place.x + frame.left, y: place.y + frame.top }, size, colour);
  });
  const lines = boxes.map(({ box: [x0, y0, x1, y1], colour, line }) => {
    if (line === "none") return "";
    const shape = `x="${x0 + frame.left}" y="${y0 + frame.top}" width="${Math.max(1, x1 - x0)}" height="${Math.max(1, y1 - y0)}" rx="3" fill="none"`;
    const dashes = line === "dashed" ? ` stroke-dasharray="7 5"` : "";
    return (
      `<rect ${shape} stroke="#000" stroke-opacity="0.4" stroke-width="5"/>` +
      `<rect ${shape} stroke="${css(colour)}" stroke-width="2.5"${dashes}/>`
    );
  });
  return [...lines.reverse(), ...chips.reverse()];
}

function placeLabel(
  [x0, y0, x1, y1]: Box,
  size: Size,
  frame: Size,
  placed: readonly Chip[],
  middle: boolean,
): Chip {
  const inFrame = (x: number, y: number): Chip => ({
    ...size,
    x: Math.max(0, Math.min(x, frame.width - size.width)),
    y: Math.max(0, Math.min(y, frame.height - size.height)),
  });
  const centre = inFrame((x0 + x1 - size.width) / 2, (y0 + y1 - size.height) / 2);
  const places = [
    ...(middle ? [centre] : []),
    inFrame(x0, y0 - size.height - 2),
    inFrame(x0 + 3, y0 + 3),
    inFrame(x1 - size.width, y0 - size.height - 2),
    inFrame(x0, y1 + 2),
    inFrame(x1 - size.width - 3, y1 - size.height - 3),
    centre,
  ];
  const covered = (place: Chip) => placed.reduce((sum, other) => sum + overlap(place, other), 0);
  return places.reduce((best, place) => (covered(place) < covered(best) ? place : best));
}

function overlap(a: Chip, b: Chip): number {
  const wide = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const high = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(0, wide) * Math.max(0, high);
}
