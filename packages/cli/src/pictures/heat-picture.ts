import type { Pixels, Size } from "@mask-llava/models";
import { type Canvas, fitInto, scaledPicture } from "./canvas.ts";
import { css, heatColour, type Rgb, theme } from "./colours.ts";
import { type MaskMap, paintHeat, paintMask } from "./overlays.ts";
import { gap, type Heading, margin, Page } from "./page.ts";
import { fitText, textElement } from "./svg.ts";

/** What was asked of one embedding and what came of it. */
export interface DrawnInversion {
  readonly name: string;
  readonly mask: MaskMap;
  readonly firstMap: MaskMap;
  readonly map: MaskMap;
  /** Of this mask, one a step. */
  readonly losses: readonly number[];
}

const pageWidth = 1296;
const seam = 6;
const captionHeight = 58;
const outline: Rgb = [255, 255, 255];

/** Groups in a row: few masks are shown large. */
function groupsAbreast(masks: number): number {
  return masks <= 4 ? 1 : masks <= 12 ? 2 : 3;
}

/** For each mask: the mask, the explainability map before the first step, and that after the last. */
export function drawInversions(
  picture: Pixels,
  inversions: readonly DrawnInversion[],
  heading: Heading,
): Canvas {
  const page = new Page(pageWidth);
  const top = page.heading(heading);
  const abreast = Math.min(inversions.length, groupsAbreast(inversions.length));
  const wide = (pageWidth - 2 * margin - (abreast - 1) * 2 * gap) / abreast;
  const tile: Size = { width: Math.floor((wide - 2 * seam) / 3), height: 460 };
  const size = fitInto(picture, tile);
  const rowHeight = size.height + captionHeight;
  const plain = scaledPicture(picture, size);
  const copy = (): Canvas => ({ ...plain, data: plain.data.slice() });
  for (const [i, inversion] of inversions.entries()) {
    const left = margin + (i % abreast) * (wide + 2 * gap);
    const y = top + Math.floor(i / abreast) * rowHeight;
    const tiles = [copy(), copy(), copy()] as const;
    paintMask(tiles[0], inversion.mask, { colour: [90, 200, 250] });
    paintHeat(tiles[1], inversion.firstMap);
    paintHeat(tiles[2], inversion.map);
    for (const image of [tiles[1], tiles[2]])
      paintMask(image, inversion.mask, { colour: outline, fill: 0, line: 1.5 });
    for (const [k, image] of tiles.entries()) page.picture(image, left + k * (size.width + seam), y);
    page.add(...caption(inversion, { left, y: y + size.height, width: size.width }));
  }
  const bottom = top + Math.ceil(inversions.length / abreast) * rowHeight;
  page.add(...heatScale(margin, bottom + 4));
  return page.render(bottom + 34 + margin);
}

/** Under the three tiles of a mask. */
function caption({ name, losses }: DrawnInversion, at: { left: number; y: number; width: number }): string[] {
  const [first, last] = [losses[0] ?? Number.NaN, losses.at(-1) ?? Number.NaN];
  const column = (k: number) => at.left + k * (at.width + seam);
  const strong = { size: 15, bold: true, fill: css(theme.text) };
  const faint = { size: 14, fill: css(theme.faint) };
  const fit = (text: string, style: { size: number; bold?: boolean }) => fitText(text, style, at.width - 4);
  const [title, under] = [at.y + 22, at.y + 42];
  return [
    textElement(fit(name, strong), { x: column(0), y: title }, strong),
    textElement("the mask", { x: column(0), y: under }, faint),
    textElement(fit("before", strong), { x: column(1), y: title }, strong),
    textElement(fit(`dice loss ${first.toFixed(3)}`, faint), { x: column(1), y: under }, faint),
    textElement(fit(`step ${losses.length}`, strong), { x: column(2), y: title }, strong),
    textElement(fit(`dice loss ${last.toFixed(3)}`, faint), { x: column(2), y: under }, faint),
  ];
}

/** What the colours mean. */
export function heatScale(x: number, y: number): string[] {
  const stops = Array.from({ length: 9 }, (_, i) => {
    const [share, colour] = [i / 8, css(heatColour(i / 8))];
    return `<stop offset="${share}" stop-color="${colour}"/>`;
  });
  const faint = { size: 14, fill: css(theme.faint) };
  return [
    `<defs><linearGradient id="heat">${stops.join("")}</linearGradient></defs>`,
    textElement("looks away", { x, y: y + 15 }, faint),
    `<rect x="${x + 88}" y="${y + 4}" width="220" height="12" rx="6" fill="url(#heat)"/>`,
    textElement("looks here", { x: x + 320, y: y + 15 }, faint),
  ];
}
