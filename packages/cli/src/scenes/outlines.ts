import type { ShapeName } from "./world.ts";

/**
 * A shape in its own coordinates: x to the right, y down. Its size is half way (the geometric mean) between filling the unit
 * circle from within and having the unit disc's area, so that no shape looks larger than the others.
 */
export interface Outline {
  /** Distance from the origin to the farthest point. */
  readonly reach: number;
  contains(x: number, y: number): boolean;
}

type Point = readonly [number, number];

/**
 * Sine and cosine of an angle within ±2π, by their series: sums and products are exact to the bit on every machine, which
 * `Math.sin` is not bound to be.
 */
export function sinCos(angle: number): { readonly sin: number; readonly cos: number } {
  let [sin, cos, term] = [0, 0, 1];
  for (let n = 0; n < 40; n++) {
    const signed = n % 4 < 2 ? term : -term;
    if (n % 2) sin += signed;
    else cos += signed;
    term *= angle / (n + 1);
  }
  return { sin, cos };
}

export const outlines: Readonly<Record<ShapeName, Outline>> = {
  circle: { reach: 1, contains: (x, y) => x * x + y * y <= 1 },
  ring: ring(0.5),
  square: polygon(corners(4, [1], 45)),
  triangle: polygon(centred(corners(3, [1], 0))),
  hexagon: polygon(corners(6, [1], 30)),
  star: polygon(corners(10, [1, 0.45], 0)),
  cross: polygon(crossCorners(0.34)),
  heart: heart(),
};

/** A disc with a hole; `hole` is the hole's radius as a share of the outer one. */
function ring(hole: number): Outline {
  const reach = sizeFor(Math.PI * (1 - hole * hole));
  const [outer, inner] = [reach * reach, (hole * reach) ** 2];
  return {
    reach,
    contains: (x, y) => {
      const distance = x * x + y * y;
      return distance <= outer && distance >= inner;
    },
  };
}

/** By what an outline within the unit circle is enlarged. */
function sizeFor(area: number): number {
  return Math.sqrt(Math.sqrt(Math.PI / area));
}

/** Points around the origin, clockwise from the top plus `turn` degrees, at `distances` in turn. */
function corners(count: number, distances: readonly number[], turn: number): Point[] {
  return Array.from({ length: count }, (_, i) => {
    const { sin, cos } = sinCos(((turn + (360 * i) / count) * Math.PI) / 180);
    const distance = distances[i % distances.length] as number;
    return [sin * distance, -cos * distance];
  });
}

/** A plus sign whose bars are `half` as wide as they are long. */
function crossCorners(half: number): Point[] {
  const quarter: readonly Point[] = [
    [half, -1],
    [half, -half],
    [1, -half],
  ];
  const turns: readonly ((p: Point) => Point)[] = [
    ([x, y]) => [x, y],
    ([x, y]) => [-y, x],
    ([x, y]) => [-x, -y],
    ([x, y]) => [y, -x],
  ];
  return turns.flatMap((turn) => quarter.map(turn));
}

/** Moved so that the bounds' middle is the origin. */
function centred(points: readonly Point[]): Point[] {
  const ys = points.map(([, y]) => y);
  const middle = (Math.min(...ys) + Math.max(...ys)) / 2;
  return points.map(([x, y]) => [x, y - middle]);
}

function polygon(points: readonly Point[]): Outline {
  const edges = (at: readonly Point[]) =>
    at.map((p, i) => [...p, ...(at[(i + 1) % at.length] as Point)] as const);
  const area = edges(points).reduce((sum, [ax, ay, bx, by]) => sum + (ax * by - bx * ay) / 2, 0);
  const reach = Math.sqrt(Math.max(...points.map(([x, y]) => x * x + y * y)));
  const scale = sizeFor(Math.abs(area) / (reach * reach)) / reach;
  const scaled = points.map(([x, y]): Point => [x * scale, y * scale]);
  // by edge: from the upper to the lower end, and how x grows with y
  const sides = edges(scaled).map(([ax, ay, bx, by]) => ({ ax, ay, by, slope: (bx - ax) / (by - ay) }));
  return {
    reach: reach * scale,
    contains: (x, y) => {
      let inside = false;
      for (const { ax, ay, by, slope } of sides) {
        if (ay > y !== by > y && x < ax + slope * (y - ay)) inside = !inside;
      }
      return inside;
    },
  };
}

/** A square of side 2 that stands on its corner, with half a disc on each of its upper sides. */
function heart(): Outline {
  const diagonal = Math.SQRT1_2;
  // moves the bounds' middle to the origin
  const down = (1 - diagonal) / 2;
  const farthest = 1 + Math.sqrt(diagonal * diagonal + (diagonal - down) ** 2);
  const scale = sizeFor((4 + Math.PI) / (farthest * farthest)) / farthest;
  return {
    reach: farthest * scale,
    contains: (x, y) => {
      const [px, py] = [Math.abs(x) / scale, y / scale - down];
      if (px + Math.abs(py) <= Math.SQRT2) return true;
      const [dx, dy] = [px - diagonal, py + diagonal];
      return dx * dx + dy * dy <= 1;
    },
  };
}
