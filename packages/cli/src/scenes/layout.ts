import { type Coverage, cover, fullMask, type Placement, reachOf } from "./coverage.ts";
import { areaOf, visibleMasks } from "./masks.ts";
import type { SceneRandom } from "./random.ts";
import {
  type Colour,
  colours,
  colourWeights,
  leastVisible,
  mostObjects,
  mostRotation,
  radii,
  type SizeName,
  shapes,
  shapeWeights,
  sizes,
  type Thing,
} from "./world.ts";

/** An object with all that is needed to paint and to annotate it. */
export interface PlacedObject extends Placement {
  readonly colour: Colour;
  readonly size: SizeName;
  readonly coverage: Coverage;
  /** Row-major 0 and 1 over the picture. */
  readonly full: Uint8Array;
}

/** Share of the objects that share their shape or their colour with one that is there already. */
const shareOfKin = 0.3;
/** Share of the objects that are put beside another so that they may overlap. */
const shareOfOverlaps = 0.4;
const triesPerObject = 60;
const triesPerScene = 500;

/** Objects of a scene, from the back to the front, in a square picture of side `size`. */
export function layOut(random: SceneRandom, size: number): PlacedObject[] {
  const count = random.integer(1, mostObjects);
  for (let i = 0; i < triesPerScene; i++) {
    const objects = tryToPlace(random, size, count);
    if (objects) return objects;
  }
  throw new Error(`${count} objects found no room in a picture of ${size}x${size}`);
}

function tryToPlace(random: SceneRandom, side: number, count: number): PlacedObject[] | undefined {
  const objects: PlacedObject[] = [];
  while (objects.length < count) {
    const thing = drawThing(random, objects);
    const size = random.pick(sizes);
    const [low, high] = radii[size];
    const radius = side * random.uniform(low, high);
    const rotation = random.integer(-10 * mostRotation, 10 * mostRotation) / 10;
    const overlaps = objects.length > 0 && random.chance(shareOfOverlaps);
    let placed: PlacedObject | undefined;
    for (let i = 0; i < triesPerObject && !placed; i++) {
      const middle = overlaps
        ? besideAnother(random, objects, radius)
        : { x: random.uniform(0, side), y: random.uniform(0, side) };
      const placement = { shape: thing.shape, ...middle, radius, rotation };
      if (!lies(placement, side) || (!overlaps && touches(placement, objects))) continue;
      const coverage = cover(placement, side);
      const candidate = { ...placement, ...thing, size, coverage, full: fullMask(coverage, side) };
      if (!overlaps || allVisible([...objects, candidate])) placed = candidate;
    }
    if (!placed) return undefined;
    objects.push(placed);
  }
  return objects;
}

function drawThing(random: SceneRandom, objects: readonly PlacedObject[]): Thing {
  const shape = random.weighted(shapes, (name) => shapeWeights[name]);
  const colour = random.weighted(colours, (name) => colourWeights[name]);
  if (objects.length === 0 || !random.chance(shareOfKin)) return { shape, colour };
  const kin = random.pick(objects);
  return random.chance(0.5) ? { shape: kin.shape, colour } : { shape, colour: kin.colour };
}

/** A place where a disc of that radius overlaps that of another object, but by no more than half. */
function besideAnother(random: SceneRandom, objects: readonly PlacedObject[], radius: number) {
  const other = random.pick(objects);
  const distance = (other.radius + radius) * random.uniform(0.6, 1);
  for (;;) {
    const [dx, dy] = [random.uniform(-1, 1), random.uniform(-1, 1)];
    const length = Math.sqrt(dx * dx + dy * dy);
    if (length > 1 || length < 0.1) continue;
    return { x: other.x + (dx / length) * distance, y: other.y + (dy / length) * distance };
  }
}

/** Whether an object lies in the picture as a whole, a pixel from its border. */
function lies({ shape, x, y, radius }: Placement, side: number): boolean {
  const reach = reachOf(shape, radius) + 1;
  return x >= reach && y >= reach && x <= side - reach && y <= side - reach;
}

function touches(a: Placement, objects: readonly Placement[]): boolean {
  return objects.some((b) => {
    const least = reachOf(a.shape, a.radius) + reachOf(b.shape, b.radius);
    return (a.x - b.x) ** 2 + (a.y - b.y) ** 2 < least ** 2;
  });
}

function allVisible(objects: readonly PlacedObject[]): boolean {
  const full = objects.map((object) => object.full);
  return visibleMasks(full).every((mask, i) => areaOf(mask) >= leastVisible * areaOf(full[i] as Uint8Array));
}
