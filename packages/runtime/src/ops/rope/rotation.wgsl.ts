import { f32, wgsl } from "../../wgsl.ts";

/**
 * pi/2 in parts of at most 7 bits, but the last: multiples of them by up to 2^17 are exact in f32, so that a large angle
 * loses nothing in the reduction (Cody and Waite 1980).
 */
function halfPiParts(): string[] {
  // pi/2 to 2^-52 as a double, and the rest of it
  let rest = Math.PI / 2;
  const tail = 6.123233995736766e-17;
  const parts: number[] = [];
  for (const lowestBit of [6, 13, 20, 27]) {
    const part = Math.floor(rest * 2 ** lowestBit) / 2 ** lowestBit;
    parts.push(part);
    rest -= part;
  }
  return [...parts, rest + tail].map(f32);
}

/**
 * `turn(angle)`: cosine and sine of f32 angles in [0, 2^17 pi/2], to about 1e-7, one or four at once. WGSL's own sin and cos
 * promise 2^-11 within [-pi, pi] and nothing beyond. Products and differences below are exact, so fused operations change
 * nothing. The polynomials on [-pi/4, pi/4] are truncated Taylor series: their next terms are below 3e-8 there.
 */
export function rotationCode(type: "f32" | "vec4<f32>"): string {
  const [p1, p2, p3, p4, p5] = halfPiParts() as [string, string, string, string, string];
  const integer = type === "f32" ? "u32" : "vec4<u32>";
  const equals = (n: number) => `(quadrant == ${integer}(${n}u))`;
  return wgsl`
struct Turn { cos: ${type}, sin: ${type} }
fn turn(angle: ${type}) -> Turn {
  let n = floor(angle * ${f32(2 / Math.PI)} + 0.5);
  var r = angle - n * ${p1};
  r = r - n * ${p2};
  r = r - n * ${p3};
  r = r - n * ${p4};
  r = r - n * ${p5};
  let z = r * r;
  let s = r + r * z * (${f32(-1 / 6)} + z * (${f32(1 / 120)} + z * (${f32(-1 / 5040)} + z * ${f32(1 / 362880)})));
  let c = 1.0 + z * (-0.5 + z * (${f32(1 / 24)} + z * (${f32(-1 / 720)} + z * ${f32(1 / 40320)})));
  let quadrant = ${integer}(n) & ${integer}(3u);
  let odd = (quadrant & ${integer}(1u)) == ${integer}(1u);
  let cosine = select(c, s, odd);
  let sine = select(s, c, odd);
  return Turn(
    select(cosine, -cosine, ${equals(1)} | ${equals(2)}),
    select(sine, -sine, quadrant >= ${integer}(2u)));
}`;
}

/** `rotated_NAME(at, d, position)`: element d of the head of NAME that begins at `at`, rotated where d < u.rotary. */
export function rotatedCode(name: string): string {
  return wgsl`
fn rotated_${name}(at: u32, d: u32, position: u32) -> f32 {
  let value = ${name}[at + d];
  if (d >= u.rotary) { return value; }
  let half = u.rotary / 2u;
  let first = d < half;
  let t = turn(f32(position) * inv_freq[select(d - half, d, first)]);
  let other = ${name}[at + select(d - half, d + half, first)];
  return u.scaling * (value * t.cos + select(other, -other, first) * t.sin);
}`;
}
