import { type Pixels, pixels } from "@mask-llava/models";
import { type Canvas, paintBackground } from "./background.ts";
import { type Coverage, samples } from "./coverage.ts";
import type { PlacedObject } from "./layout.ts";
import { sinCos } from "./outlines.ts";
import type { SceneRandom } from "./random.ts";
import { colourValues } from "./world.ts";

/** Paints objects, the first farthest back, over a background, and adds the noise of a camera. */
export function paint(random: SceneRandom, objects: readonly PlacedObject[], size: number): Pixels {
  const canvas = paintBackground(random, size);
  const shadows = random.chance(0.5);
  for (const object of objects) {
    if (shadows) castShadow(canvas, object.coverage, size);
    paintObject(canvas, random, object, size);
  }
  const noise = random.uniform(0, 9);
  const data = new Uint8Array(canvas.length);
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.min(255, Math.max(0, Math.floor((canvas[i] as number) + noise * random.bell() + 0.5)));
  }
  return pixels(size, size, 3, data);
}

/** Darkens what lies right below and to the right of an object. */
function castShadow(canvas: Canvas, coverage: Coverage, size: number): void {
  const offset = Math.max(1, Math.round(size / 64));
  for (const { x, y, share } of covered(coverage)) {
    const [sx, sy] = [x + offset, y + offset];
    if (sx >= size || sy >= size) continue;
    for (let c = 0; c < 3; c++) scale(canvas, 3 * (sy * size + sx) + c, 1 - 0.4 * share);
  }
}

/** An object in its jittered colour, lit from one side, perhaps with a texture, and darker along its edge. */
function paintObject(canvas: Canvas, random: SceneRandom, object: PlacedObject, size: number): void {
  const jitter = random.uniform(0.88, 1.08);
  const colour = colourValues[object.colour].map((value) => value * jitter + random.uniform(-14, 14));
  const texture = textureOf(random, object);
  const edge = random.uniform(0.15, 0.45);
  for (const { x, y, share, inner } of covered(object.coverage)) {
    const light = texture(x + 0.5 - object.x, y + 0.5 - object.y) * (1 - edge * (1 - inner));
    for (const [c, value] of colour.entries()) {
      const at = 3 * (y * size + x) + c;
      canvas[at] = (canvas[at] as number) * (1 - share) + value * light * share;
    }
  }
}

/** Brightness by the place within an object, about 1. */
function textureOf(random: SceneRandom, { radius }: PlacedObject): (x: number, y: number) => number {
  const { sin, cos } = sinCos(random.uniform(0, 2 * Math.PI));
  const slope = random.uniform(0, 0.14) / radius;
  const kind = random.pick(["plain", "plain", "striped", "speckled"] as const);
  const period = Math.max(3, radius * random.uniform(0.35, 0.6));
  const depth = random.uniform(0.06, 0.16);
  return (x, y) => {
    const along = x * cos + y * sin;
    const lit = 1 + slope * along;
    if (kind === "striped") return lit - (Math.floor(along / period) % 2 ? depth : 0);
    return kind === "speckled" ? lit + depth * random.bell() : lit;
  };
}

/** Pixels that an object covers: by how much, and how much the least covered of a pixel's neighbours is. */
function* covered({ x0, y0, x1, y1, counts }: Coverage) {
  const width = x1 - x0;
  const at = (x: number, y: number) =>
    x < x0 || x >= x1 || y < y0 || y >= y1 ? 0 : (counts[(y - y0) * width + x - x0] as number) / samples;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const share = at(x, y);
      if (share === 0) continue;
      yield { x, y, share, inner: Math.min(at(x - 1, y), at(x + 1, y), at(x, y - 1), at(x, y + 1)) };
    }
  }
}

function scale(canvas: Canvas, at: number, factor: number): void {
  canvas[at] = (canvas[at] as number) * factor;
}
