import { sinCos } from "./outlines.ts";
import type { SceneRandom } from "./random.ts";
import { valueNoise } from "./value-noise.ts";

/** An RGB picture of side `size`: rows of pixels of three values, 0 to 255 but for what is clamped on encoding. */
export type Canvas = Float64Array;

/** A pattern: how far a pixel is towards the second of two colours, 0 to 1. */
type Pattern = (x: number, y: number) => number;

const patterns = { plain, clouds, stripes, checks, dots, bricks, gradient } as const;
const patternNames = Object.keys(patterns) as (keyof typeof patterns)[];

/** Paints a background: a pattern of two muted colours, lit unevenly. */
export function paintBackground(random: SceneRandom, size: number): Canvas {
  const lightness = random.uniform(40, 215);
  const first = muted(random, lightness);
  const second = muted(random, lightness + (lightness > 128 ? -1 : 1) * random.uniform(14, 55));
  const pattern = patterns[random.pick(patternNames)](random, size);
  const uneven = valueNoise(random, size, size / 2, 4);
  const unevenness = random.uniform(4, 16);
  const canvas = new Float64Array(3 * size * size);
  for (let y = 0, at = 0; y < size; y++) {
    for (let x = 0; x < size; x++, at++) {
      const t = pattern(x + 0.5, y + 0.5);
      const light = unevenness * (uneven[at] as number);
      for (let c = 0; c < 3; c++) {
        const [a, b] = [first[c] as number, second[c] as number];
        canvas[3 * at + c] = a + (b - a) * t + light;
      }
    }
  }
  return canvas;
}

/** A colour of little saturation: what is coloured strongly is an object. */
function muted(random: SceneRandom, lightness: number): number[] {
  return Array.from({ length: 3 }, () => lightness + random.uniform(-14, 14));
}

function plain(): Pattern {
  return () => 0;
}

function clouds(random: SceneRandom, size: number): Pattern {
  const noise = valueNoise(random, size, size / random.integer(3, 8), 4);
  return (x, y) => clamp(0.5 + 0.7 * (noise[Math.floor(y) * size + Math.floor(x)] as number));
}

function gradient(random: SceneRandom, size: number): Pattern {
  const { sin, cos } = direction(random);
  return (x, y) => clamp(0.5 + ((x - size / 2) * cos + (y - size / 2) * sin) / size);
}

function stripes(random: SceneRandom, size: number): Pattern {
  const { sin, cos } = direction(random);
  const period = size * random.uniform(0.06, 0.2);
  const share = random.uniform(0.3, 0.7);
  return (x, y) => band(x * cos + y * sin, period, share);
}

function checks(random: SceneRandom, size: number): Pattern {
  const { sin, cos } = direction(random);
  const period = size * random.uniform(0.12, 0.3);
  return (x, y) => {
    const across = band(x * cos + y * sin, period, 0.5);
    const down = band(y * cos - x * sin, period, 0.5);
    return across + down - 2 * across * down;
  };
}

function dots(random: SceneRandom, size: number): Pattern {
  const { sin, cos } = direction(random);
  const period = size * random.uniform(0.08, 0.18);
  const radius = period * random.uniform(0.18, 0.36);
  return (x, y) => {
    const dx = fraction((x * cos + y * sin) / period) * period - period / 2;
    const dy = fraction((y * cos - x * sin) / period) * period - period / 2;
    return clamp(radius - Math.sqrt(dx * dx + dy * dy) + 0.5);
  };
}

function bricks(random: SceneRandom, size: number): Pattern {
  const height = size * random.uniform(0.08, 0.16);
  const width = height * random.uniform(1.6, 2.6);
  const joint = Math.max(1, height * 0.14);
  return (x, y) => {
    const shift = Math.floor(y / height) % 2 ? width / 2 : 0;
    return Math.max(band(y, height, joint / height), band(x + shift, width, joint / width));
  };
}

function direction(random: SceneRandom) {
  return sinCos(random.uniform(0, Math.PI));
}

/** 1 over the first `share` of each period, 0 over the rest, with edges a pixel wide. */
function band(at: number, period: number, share: number): number {
  const place = fraction(at / period) * period;
  const width = share * period;
  return clamp(place + 0.5) * clamp(width - place + 0.5) + clamp(place - period + 0.5);
}

function fraction(value: number): number {
  return value - Math.floor(value);
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
