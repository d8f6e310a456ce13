import { blend, type Canvas, filledCanvas, paste } from "./canvas.ts";
import { css, inkOn, type Rgb, theme } from "./colours.ts";
import { drawSvg, fitText, textElement, textWidth, wrapText } from "./svg.ts";

/** Pixels around everything on a page, and between its parts. */
export const margin = 28;
export const gap = 16;

/** What a page says above its pictures. */
export interface Heading {
  readonly title: string;
  readonly lines: readonly string[];
}

const title = { size: 26, bold: true } as const;
const small = { size: 15 } as const;
const lineHeight = 22;

/** Pictures, shapes and text, laid out by whoever makes it. Shapes lie over pictures. */
export class Page {
  readonly width: number;
  readonly #pictures: { image: Canvas; x: number; y: number }[] = [];
  readonly #elements: string[] = [];

  constructor(width: number) {
    this.width = width;
  }

  picture(image: Canvas, x: number, y: number): void {
    this.#pictures.push({ image, x, y });
  }

  add(...elements: readonly string[]): void {
    this.#elements.push(...elements);
  }

  /** Writes a heading at the top. @returns the y below it */
  heading({ title: name, lines }: Heading): number {
    const wide = this.width - 2 * margin;
    const ink = css(theme.text);
    this.add(textElement(fitText(name, title, wide), { x: margin, y: margin + 24 }, { ...title, fill: ink }));
    const wrapped = lines.flatMap((line) => wrapText(line, small, wide, 3));
    for (const [i, line] of wrapped.entries()) {
      const y = margin + 52 + i * lineHeight;
      this.add(textElement(line, { x: margin, y }, { ...small, fill: css(theme.faint) }));
    }
    return margin + 40 + wrapped.length * lineHeight + (wrapped.length > 0 ? gap : 0);
  }

  /** The page, so high. */
  render(height: number): Canvas {
    const size = { width: this.width, height: Math.ceil(height) };
    const canvas = filledCanvas(size, theme.page);
    for (const { image, x, y } of this.#pictures) paste(canvas, image, Math.round(x), Math.round(y));
    blend(canvas, drawSvg(size, this.#elements));
    return canvas;
  }
}

export interface Chip {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Size of a chip: text on a coloured plate. */
export function chipSize(text: string, size: number): { width: number; height: number } {
  return {
    width: textWidth(text, { size, bold: true }) + size * 0.8,
    height: Math.round(size * 1.5),
  };
}

export function chip(text: string, { x, y, height }: Chip, size: number, colour: Rgb): string {
  const { width } = chipSize(text, size);
  const plate = `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${size * 0.25}" fill="${css(colour)}"/>`;
  const style = { size, bold: true, fill: inkOn(colour) };
  return plate + textElement(text, { x: x + size * 0.4, y: y + height / 2 + size * 0.36 }, style);
}

/** A line of a legend. */
export interface LegendEntry {
  readonly colour: Rgb;
  readonly name: string;
  /** 0 to 1: drawn as a bar, written at its end. */
  readonly score: number;
}

const entryHeight = 30;
const entryWidth = 300;
const columnGap = 44;
/** More entries than these are counted, not shown. */
const mostEntries = 36;

/** A legend in columns, from `top` on. @returns the y below it */
export function legend(page: Page, entries: readonly LegendEntry[], top: number): number {
  const wide = page.width - 2 * margin;
  const columns = Math.max(1, Math.floor((wide + columnGap) / (entryWidth + columnGap)));
  const each = (wide - columnGap * (columns - 1)) / columns;
  const shown = entries.slice(0, mostEntries);
  const rows = Math.ceil(shown.length / columns);
  for (const [i, { colour, name, score }] of shown.entries()) {
    const x = margin + Math.floor(i / rows) * (each + columnGap);
    const y = top + (i % rows) * entryHeight;
    const bar = 64;
    const value = score.toFixed(2);
    page.add(
      `<rect x="${x}" y="${y + 4}" width="18" height="18" rx="5" fill="${css(colour)}"/>`,
      textElement(
        String(i + 1),
        { x: x + 9, y: y + 17, anchor: "middle" },
        { size: 11, bold: true, fill: inkOn(colour) },
      ),
      textElement(
        fitText(name, small, each - bar - 84),
        { x: x + 28, y: y + 18 },
        { ...small, fill: css(theme.text) },
      ),
      `<rect x="${x + each - bar - 46}" y="${y + 10}" width="${bar}" height="6" rx="3" fill="${css(theme.line)}"/>`,
      `<rect x="${x + each - bar - 46}" y="${y + 10}" width="${bar * Math.min(Math.max(score, 0), 1)}" height="6" rx="3" fill="${css(colour)}"/>`,
      textElement(value, { x: x + each, y: y + 18, anchor: "end" }, { ...small, fill: css(theme.faint) }),
    );
  }
  let y = top + rows * entryHeight;
  if (entries.length > shown.length) {
    page.add(
      textElement(
        `and ${entries.length - shown.length} more`,
        { x: margin, y: y + 18 },
        { ...small, fill: css(theme.faint) },
      ),
    );
    y += entryHeight;
  }
  return y;
}
