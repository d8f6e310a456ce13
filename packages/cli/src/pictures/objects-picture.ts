import type { Box, Pixels, Size } from "@mask-llava/models";
import { maskArea, maskCentre } from "../mask-shape.ts";
import { type Canvas, fitInto, scaledPicture } from "./canvas.ts";
import { objectColour } from "./colours.ts";
import { labelledBoxes } from "./labels.ts";
import { paintMask } from "./overlays.ts";
import { gap, type Heading, legend, margin, Page } from "./page.ts";
import { fitText } from "./svg.ts";

/** What the largest picture on a page may take. */
const frame: Size = { width: 1240, height: 900 };
const narrowest = 720;
/** Pixels that a name may take in a label; the legend says more. */
const widestName = 150;

export interface DrawnObject {
  readonly box?: Box;
  /** At the picture's size; anything but 0 is inside. */
  readonly mask?: ArrayLike<number>;
  readonly name: string;
  readonly score: number;
  /** Clicks that asked for it. */
  readonly points?: readonly { readonly x: number; readonly y: number; readonly label: number }[];
}

/** A picture with the boxes or masks of its objects, best first, and a legend. */
export function drawObjects(picture: Pixels, objects: readonly DrawnObject[], heading: Heading): Canvas {
  const size = fitInto(picture, frame);
  const page = new Page(Math.max(size.width, narrowest) + 2 * margin);
  const top = page.heading(heading);
  const left = Math.round((page.width - size.width) / 2);
  const image = scaledPicture(picture, size);
  const [sx, sy] = [size.width / picture.width, size.height / picture.height];
  for (const { i, mask } of largestFirst(objects)) {
    paintMask(
      image,
      { width: picture.width, height: picture.height, data: mask },
      { colour: objectColour(i) },
    );
  }
  page.picture(image, left, top);
  const label = { size: objects.length > 30 ? 13 : 16, bold: true };
  const boxes = objects.flatMap(({ box, name, score, mask }, i) => {
    const centre = box ?? (mask && maskCentre(mask, picture));
    if (!centre) return [];
    const [x0, y0, x1 = x0, y1 = y0] = centre;
    return {
      box: [x0 * sx, y0 * sy, x1 * sx, y1 * sy] as const,
      text: mask ? `${i + 1}` : `${i + 1}  ${fitText(name, label, widestName)} ${score.toFixed(2)}`,
      colour: objectColour(i),
      line: box ? (mask ? "dashed" : "solid") : "none",
    } as const;
  });
  page.add(...labelledBoxes(boxes, { ...size, left, top }, label.size));
  for (const { x, y, label } of objects.flatMap(({ points }) => points ?? [])) {
    page.add(pin(left + x * sx, top + y * sy, label));
  }
  const entries = objects.map(({ name, score }, i) => ({ name, score, colour: objectColour(i) }));
  return page.render(
    legend(page, entries, top + size.height + gap) + margin - (objects.length > 0 ? 8 : gap),
  );
}

/** Objects with masks by falling area, so that small ones are painted over large ones. */
function largestFirst(objects: readonly DrawnObject[]): { i: number; mask: ArrayLike<number> }[] {
  return objects
    .flatMap(({ mask }, i) => (mask ? [{ i, mask, area: maskArea(mask) }] : []))
    .sort((a, b) => b.area - a.area);
}

/** A click: a plus where the object is, a minus where it is not. */
function pin(x: number, y: number, label: number): string {
  const arm = 5;
  const upright = label === 1 ? `M${x} ${y - arm}V${y + arm}` : "";
  return (
    `<circle cx="${x}" cy="${y}" r="10" fill="${label === 1 ? "#2fbf71" : "#e5484d"}" stroke="#fff" stroke-width="2.5"/>` +
    `<path d="M${x - arm} ${y}H${x + arm}${upright}" stroke="#fff" stroke-width="2.5" stroke-linecap="round"/>`
  );
}
