import { createRequire } from "node:module";
import type { Size } from "@mask-llava/models";
import { Resvg, type ResvgRenderOptions } from "@resvg/resvg-js";

/** Premultiplied red, green, blue and opacity, row-major. [H, W, 4] */
export interface Overlay extends Size {
  readonly data: Uint8Array;
}

const { resolve } = createRequire(import.meta.url);
const family = "Inter";
/** The typeface comes with the program, so that pictures look the same on a machine without any. */
const fontFiles = ["500Medium/Inter_500Medium.ttf", "700Bold/Inter_700Bold.ttf"];

let resolved: ResvgRenderOptions | undefined;
function options(): ResvgRenderOptions {
  resolved ??= {
    font: {
      fontFiles: fontFiles.map((file) => resolve(`@expo-google-fonts/inter/${file}`)),
      loadSystemFonts: false,
      defaultFontFamily: family,
    },
  };
  return resolved;
}

/** Draws elements of SVG on a transparent ground. */
export function drawSvg({ width, height }: Size, elements: readonly string[]): Overlay {
  const image = new Resvg(document({ width, height }, elements.join("")), options()).render();
  return { width: image.width, height: image.height, data: image.pixels };
}

/** A whole SVG document as PNG, `scale` pixels for each of its units, on a white ground. */
export function rasterize(svg: string, scale = 2): Uint8Array {
  const fitTo = { mode: "zoom", value: scale } as const;
  return new Resvg(svg, { ...options(), fitTo, background: "white" }).render().asPng();
}

function document({ width, height }: Size, body: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${body}</svg>`;
}

export interface TextStyle {
  readonly size: number;
  readonly bold?: boolean;
}

/** One line of text; `y` is its baseline. */
export function textElement(
  content: string,
  at: { readonly x: number; readonly y: number; readonly anchor?: "start" | "middle" | "end" },
  style: TextStyle & { readonly fill: string },
): string {
  const { x, y, anchor = "start" } = at;
  const weight = style.bold ? 700 : 500;
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-family="${family}" font-weight="${weight}" font-size="${style.size}" fill="${style.fill}">${escapeText(content)}</text>`;
}

const widths = new Map<string, number>();
/** Texts whose widths are remembered: labels repeat. */
const mostWidths = 4096;

/** Width of a line in pixels. */
export function textWidth(content: string, { size, bold = false }: TextStyle): number {
  const key = `${bold} ${content}`;
  let width = widths.get(key);
  if (width === undefined) {
    // measured large and scaled: widths are proportional to the size
    const measured = 64;
    const element = textElement(content, { x: 0, y: measured }, { size: measured, bold, fill: "#000" });
    const box = new Resvg(document({ width: measured, height: measured }, element), options()).getBBox();
    width = (box ? box.x + box.width : 0) / measured;
    if (widths.size >= mostWidths) widths.clear();
    widths.set(key, width);
  }
  return width * size;
}

/** The text, cut with an ellipsis where it is wider than `most` pixels. */
export function fitText(content: string, style: TextStyle, most: number): string {
  if (textWidth(content, style) <= most) return content;
  const characters = [...content];
  let [low, high] = [0, characters.length];
  const cut = (n: number) => `${characters.slice(0, n).join("").trimEnd()}…`;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (textWidth(cut(middle), style) <= most) low = middle;
    else high = middle - 1;
  }
  return cut(low);
}

/** The text in lines no wider than `most` pixels, at most so many; the last is cut. */
export function wrapText(content: string, style: TextStyle, most: number, lines: number): string[] {
  const out: string[] = [];
  let line = "";
  const words = content.split(/\s+/).filter(Boolean);
  for (const [i, word] of words.entries()) {
    const longer = line ? `${line} ${word}` : word;
    if (line === "" || textWidth(longer, style) <= most) {
      line = longer;
    } else if (out.length + 1 < lines) {
      out.push(fitText(line, style, most));
      line = word;
    } else {
      return [...out, fitText([line, ...words.slice(i)].join(" "), style, most)];
    }
  }
  return line ? [...out, fitText(line, style, most)] : out;
}

/** Text for SVG: XML's special characters escaped, characters that XML does not have replaced. */
function escapeText(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cs}\ufffe\uffff]/gu, "\ufffd")
    .replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
