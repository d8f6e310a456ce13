import { type Geometry, type Pixels, pointToOriginal, type Size } from "@mask-llava/models";
import { maskCentre } from "../mask-shape.ts";
import { type Canvas, fitInto, scaledPicture } from "./canvas.ts";
import { css, objectColour, type Rgb, theme } from "./colours.ts";
import { heatScale } from "./heat-picture.ts";
import { labelledBoxes } from "./labels.ts";
import { fade, type MaskMap, paintHeat, paintMask, spotlight } from "./overlays.ts";
import { chip, chipSize, gap, type Heading, margin, Page } from "./page.ts";
import { fitText, textElement } from "./svg.ts";

/** An object that could have become a token. */
export interface SheetObject {
  readonly kind: "object" | "background";
  readonly score: number;
  /** Share of the picture. */
  readonly area: number;
  readonly mask: MaskMap;
  /** Where its token looks; undefined for tokens that were not optimised. */
  readonly map: MaskMap | undefined;
  readonly kept: boolean;
}

/** What a composition kept of a picture, and what it could have kept. */
export interface TokenSheet {
  readonly picture: Pixels;
  /** How the vision tower saw it. */
  readonly geometry: Geometry;
  readonly cls: boolean;
  /** Bins in each row of bins that were kept. */
  readonly patches: readonly number[];
  /** Rows and columns of the checkpoint's own grid. */
  readonly fullGrid: readonly [rows: number, columns: number];
  readonly objects: readonly SheetObject[];
}

const pageWidth = 1296;
const content = pageWidth - 2 * margin;
const columns = 5;
const captionHeight = 54;
const grey: Rgb = [140, 147, 158];
const strong = { size: 15, bold: true, fill: css(theme.text) };
const faint = { size: 14, fill: css(theme.faint) };

/**
 * One sheet of a picture's visual tokens: the picture with its objects, the pooled grid, and a tile for each object with where
 * its token looks. What was dropped is there too, grey and marked.
 */
export function drawTokenSheet(sheet: TokenSheet, heading: Heading): Canvas {
  const page = new Page(pageWidth);
  let y = page.heading(heading);
  const half: Size = { width: (content - gap) / 2, height: 520 };
  const size = fitInto(sheet.picture, half);
  const places = [margin, margin + half.width + gap].map(
    (x) => x + Math.floor((half.width - size.width) / 2),
  );
  drawOverview(page, sheet, { left: places[0] as number, top: y, ...size });
  drawPatches(page, sheet, { left: places[1] as number, top: y, ...size });
  const captions = [overviewCaption(sheet), patchCaption(sheet)];
  for (const [i, [title, text]] of captions.entries()) {
    const x = places[i] as number;
    page.add(
      textElement(fitText(title, strong, half.width), { x, y: y + size.height + 24 }, strong),
      textElement(fitText(text, faint, half.width), { x, y: y + size.height + 44 }, faint),
    );
  }
  y += size.height + captionHeight + gap;
  y = drawTiles(page, sheet, y);
  if (sheet.objects.some(({ map }) => map)) {
    page.add(...heatScale(margin, y + 8));
    y += 38;
  }
  return page.render(y + margin - gap);
}

interface Place extends Size {
  readonly left: number;
  readonly top: number;
}

/** The picture with the outlines of all objects. */
function drawOverview(page: Page, { picture, geometry, objects, cls }: TokenSheet, place: Place): void {
  const image = scaledPicture(picture, place);
  const drawn = objects.flatMap((object, i) => (object.kind === "object" ? [{ ...object, i }] : []));
  for (const { mask, kept, i } of drawn.toSorted((a, b) => b.area - a.area)) {
    const style = kept
      ? { colour: objectColour(i), fill: 0.38, line: 2 }
      : { colour: grey, fill: 0.3, line: 1.5 };
    paintMask(image, mask, style);
  }
  page.picture(image, place.left, place.top);
  const chips = drawn.flatMap(({ mask, kept, i }) => {
    const centre = maskCentre(mask.data, mask);
    if (!centre) return [];
    const [x, y] = [(centre[0] * place.width) / mask.width, (centre[1] * place.height) / mask.height];
    const colour = kept ? objectColour(i) : grey;
    return { box: [x, y, x, y] as const, text: `${i + 1}`, colour, line: "none" } as const;
  });
  page.add(...labelledBoxes(chips, place, 14));
  if (cls) page.add(frameOf(seenBy(geometry, picture, place), theme.text, 3));
}

function overviewCaption({ cls, objects }: TokenSheet): [string, string] {
  const own = objects.filter(({ kind }) => kind === "object");
  const kept = own.filter((object) => object.kept).length;
  const whole = cls ? "[CLS] token: all within the white frame" : "no [CLS] token";
  if (own.length === 0) return [whole, "no objects were found"];
  return [
    whole,
    kept === own.length
      ? `all ${kept} objects kept`
      : `${kept} of ${own.length} objects kept, the others grey`,
  ];
}

/** Turns positions of the vision tower's input to places on a page. */
function placer(geometry: Geometry, picture: Size, place: Place): (x: number, y: number) => [number, number] {
  const [sx, sy] = [place.width / picture.width, place.height / picture.height];
  return (px, py) => {
    const [x, y] = pointToOriginal(geometry, px, py);
    return [place.left + clamp(x * sx, place.width), place.top + clamp(y * sy, place.height)];
  };
}

/** The part of the picture that the vision tower sees. */
function seenBy(geometry: Geometry, picture: Size, place: Place): Place {
  const at = placer(geometry, picture, place);
  const [left, top] = at(0, 0);
  const [right, bottom] = at(geometry.output.width, geometry.output.height);
  return { left, top, width: right - left, height: bottom - top };
}

/** The picture as the patch tokens divide it; what the vision tower does not see is dark. */
function drawPatches(page: Page, { picture, geometry, patches }: TokenSheet, place: Place): void {
  const image = scaledPicture(picture, place);
  if (patches.length === 0) fade(image, { light: 0.35 });
  page.picture(image, place.left, place.top);
  const at = placer(geometry, picture, place);
  const seen = seenBy(geometry, picture, place);
  page.add(
    `<path fill-rule="evenodd" fill="#000" fill-opacity="0.6" d="${rectangle(place)}${rectangle(seen)}"/>`,
  );
  const { width, height } = geometry.output;
  let lines = "";
  for (const [row, count] of patches.entries()) {
    const [top, below] = [(row * height) / patches.length, ((row + 1) * height) / patches.length];
    for (let column = 0; column < count; column++) {
      const [left, upper] = at((column * width) / count, top);
      const [end, lower] = at(((column + 1) * width) / count, below);
      lines += `M${left} ${upper}H${end}V${lower}H${left}Z`;
    }
  }
  page.add(
    `<path d="${lines}" fill="none" stroke="#000" stroke-opacity="0.45" stroke-width="3"/>`,
    `<path d="${lines}" fill="none" stroke="#fff" stroke-opacity="0.9" stroke-width="1.25"/>`,
  );
}

function patchCaption({ patches, fullGrid: [rows, fullColumns] }: TokenSheet): [string, string] {
  const count = patches.reduce((sum, n) => sum + n, 0);
  const full = rows * fullColumns;
  if (count === 0)
    return ["no patch tokens", `all ${full} of the checkpoint's ${rows} x ${fullColumns} dropped`];
  const even = patches.every((n) => n === patches[0]);
  const layout = even
    ? `${patches.length} x ${patches[0]}`
    : `${patches.length} rows of ${Math.min(...patches)} or ${Math.max(...patches)}`;
  const from =
    count === full && even && patches.length === rows
      ? "as the checkpoint has them"
      : `pooled from the checkpoint's ${rows} x ${fullColumns}`;
  return [`${count} patch ${count === 1 ? "token" : "tokens"}: ${layout}`, from];
}

/** A tile an object: kept ones first, each in the order of the candidates. @returns the y below them */
function drawTiles(page: Page, { picture, objects }: TokenSheet, top: number): number {
  const all = objects.map((object, i) => ({ object, i }));
  const sorted = [...all.filter(({ object }) => object.kept), ...all.filter(({ object }) => !object.kept)];
  const tile: Size = { width: Math.floor((content - gap * (columns - 1)) / columns), height: 260 };
  const size = fitInto(picture, tile);
  const plain = scaledPicture(picture, size);
  for (const [n, { object, i }] of sorted.entries()) {
    const x = margin + (n % columns) * (tile.width + gap);
    const y = top + Math.floor(n / columns) * (size.height + captionHeight);
    const colour = object.kind === "background" ? theme.text : objectColour(i);
    const image: Canvas = { ...plain, data: plain.data.slice() };
    if (object.map) paintHeat(image, object.map);
    else spotlight(image, object.mask);
    paintMask(image, object.mask, { colour: object.kept ? colour : grey, fill: 0, line: 1.75 });
    if (!object.kept) fade(image, { light: 0.6 });
    page.picture(image, x, y);
    page.add(...tileCaption(object, i, { x, y: y + size.height, width: size.width }));
    if (object.kept) page.add(frameOf({ left: x, top: y, ...size }, colour, 2));
    else page.add(...droppedMark(x, y, size));
  }
  return top + Math.ceil(sorted.length / columns) * (size.height + captionHeight);
}

function tileCaption(
  { kind, score, area, kept }: SheetObject,
  i: number,
  at: { x: number; y: number; width: number },
): string[] {
  const name = kind === "background" ? "background" : `object ${i + 1}`;
  const text = `${kind === "background" ? "" : `score ${score.toFixed(2)}, `}${(100 * area).toFixed(area < 0.1 ? 1 : 0)}% of the picture`;
  const style = { ...strong, fill: css(kept ? theme.text : grey) };
  return [
    textElement(name, { x: at.x, y: at.y + 22 }, style),
    textElement(
      fitText(text, { size: 13 }, at.width),
      { x: at.x, y: at.y + 40 },
      { size: 13, fill: css(theme.faint) },
    ),
  ];
}

function droppedMark(x: number, y: number, size: Size): string[] {
  const text = "dropped";
  const { width, height } = chipSize(text, 14);
  return [chip(text, { x: x + size.width - width - 6, y: y + 6, width, height }, 14, theme.warning)];
}

function frameOf({ left, top, width, height }: Place, colour: Rgb, line: number): string {
  const inset = line / 2;
  return `<rect x="${left + inset}" y="${top + inset}" width="${width - line}" height="${height - line}" fill="none" stroke="${css(colour)}" stroke-width="${line}"/>`;
}

function rectangle({ left, top, width, height }: Place): string {
  return `M${left} ${top}h${width}v${height}h${-width}Z`;
}

function clamp(value: number, most: number): number {
  return Math.min(Math.max(value, 0), most);
}
