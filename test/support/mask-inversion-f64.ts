import { readFileSync } from "node:fs";
import { MemorySource, readSafetensors } from "@mask-llava/models";
import { type Activation, activationReference } from "@mask-llava/runtime";

/**
 * MaskInversion on the host in f64, written from the definitions (LeGrad's map as a sum over the gradient's positive
 * part, min-max over the upsampled pixels, dice over the resized ones), to check the GPU and the closed-form gradient
 * with. Matrices are flat and row-major.
 */
export type Flat = Float64Array;

/** y[m][n] = sum_k a[m][k] w[n][k] + bias[n]. */
export function linear64(a: Flat, w: Flat, k: number, bias?: Flat): Flat {
  const m = a.length / k;
  const n = w.length / k;
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = bias?.[j] ?? 0;
      for (let l = 0; l < k; l++) sum += at(a, i * k + l) * at(w, j * k + l);
      y[i * n + j] = sum;
    }
  }
  return y;
}

export function at(x: Flat, i: number): number {
  return x[i] as number;
}

export function layerNorm64(x: Flat, weight: Flat, bias: Flat, eps: number): Flat {
  const d = weight.length;
  const y = new Float64Array(x.length);
  for (let r = 0; r < x.length; r += d) {
    const row = x.subarray(r, r + d);
    const mean = row.reduce((a, b) => a + b) / d;
    const scale = 1 / Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / d + eps);
    for (let i = 0; i < d; i++) y[r + i] = (at(row, i) - mean) * scale * at(weight, i) + at(bias, i);
  }
  return y;
}

export interface Block64 {
  readonly norm1: readonly [Flat, Flat];
  readonly q: readonly [Flat, Flat];
  readonly k: readonly [Flat, Flat];
  readonly v: readonly [Flat, Flat];
  readonly out: readonly [Flat, Flat];
  readonly norm2: readonly [Flat, Flat];
  readonly fc1: readonly [Flat, Flat];
  readonly fc2: readonly [Flat, Flat];
}

export interface Tower64 {
  readonly width: number;
  readonly heads: number;
  readonly eps: number;
  readonly activation: Activation;
  readonly patch: number;
  /** Rows and columns of patches. */
  readonly grid: readonly [number, number];
  readonly blocks: readonly Block64[];
  readonly postNorm: readonly [Flat, Flat];
  /** [E, D]; absent: the hidden space. */
  readonly projection: Flat | undefined;
}

const mlp = (t: Tower64, b: Block64, y: Flat): Flat => {
  const act = activationReference(t.activation);
  const h = linear64(layerNorm64(y, ...b.norm2, t.eps), b.fc1[0], t.width, b.fc1[1]).map(act);
  const out = linear64(h, b.fc2[0], h.length / (y.length / t.width), b.fc2[1]);
  return y.map((v, i) => v + at(out, i));
};

/** Attention probabilities [H, N, N] and values [N, D] of a block. */
export function attention64(t: Tower64, b: Block64, x: Flat): { probabilities: Flat; values: Flat } {
  const { width, heads } = t;
  const n = x.length / width;
  const d = width / heads;
  const normed = layerNorm64(x, ...b.norm1, t.eps);
  const [q, k, values] = [b.q, b.k, b.v].map((p) => linear64(normed, p[0], width, p[1])) as [
    Flat,
    Flat,
    Flat,
  ];
  const probabilities = new Float64Array(heads * n * n);
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < n; i++) {
      const row = probabilities.subarray((h * n + i) * n, (h * n + i + 1) * n);
      for (let j = 0; j < n; j++) {
        let s = 0;
        for (let c = h * d; c < (h + 1) * d; c++) s += at(q, i * width + c) * at(k, j * width + c);
        row[j] = s / Math.sqrt(d);
      }
      const top = Math.max(...row);
      const total = row.reduce((a, s) => a + Math.exp(s - top), 0);
      for (let j = 0; j < n; j++) row[j] = Math.exp(at(row, j) - top) / total;
    }
  }
  return { probabilities, values };
}

/** The block's output from given attention probabilities. */
export function blockOutput64(t: Tower64, b: Block64, x: Flat, probabilities: Flat, values: Flat): Flat {
  const { width, heads } = t;
  const n = x.length / width;
  const d = width / heads;
  const mixed = new Float64Array(n * width);
  for (let h = 0; h < heads; h++)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        const p = at(probabilities, (h * n + i) * n + j);
        for (let c = h * d; c < (h + 1) * d; c++)
          mixed[i * width + c] = at(mixed, i * width + c) + p * at(values, j * width + c);
      }
  const y = linear64(mixed, b.out[0], width, b.out[1]).map((v, i) => v + at(x, i));
  return mlp(t, b, y);
}

const norm = (x: Flat): number => Math.sqrt(x.reduce((a, v) => a + v * v, 0));
const unit = (x: Flat): Flat => x.map((v) => v / norm(x));
const dot = (a: Flat, b: Flat): number => a.reduce((s, v, i) => s + v * at(b, i), 0);

/** Pooled and projected token row(s). */
export function embed64(t: Tower64, rows: Flat): Flat {
  const p = layerNorm64(rows, ...t.postNorm, t.eps);
  return t.projection ? linear64(p, t.projection, t.width) : p;
}

/** s = t^ · f of a block output z [N, D]. */
export function score64(t: Tower64, z: Flat, embedding: Flat): number {
  const n = z.length / t.width;
  const mean = new Float64Array(t.width);
  for (let i = 0; i < z.length; i++) mean[i % t.width] = at(mean, i % t.width) + at(z, i) / n;
  return dot(unit(embedding), unit(embed64(t, mean)));
}

/** d activation / dx by a central difference: accurate to about 1e-10 in f64, and independent of the closed forms. */
function derivative(activation: Activation): (x: number) => number {
  const f = activationReference(activation);
  const e = 1e-5;
  return (x) => (f(x + e) - f(x - e)) / (2 * e);
}

/** What is constant of a block while embeddings are optimised. */
export interface Linearized64 {
  readonly values: Flat;
  readonly score: (embedding: Flat) => number;
  /** ds/do [N, D] for a unit vector. */
  vjp(direction: Flat): Flat;
  /** d f [E] along do [N, D]. */
  jvp(dOut: Flat): Flat;
}

function transpose(a: Flat, columns: number): Flat {
  const rows = a.length / columns;
  return Float64Array.from({ length: a.length }, (_, i) =>
    at(a, (i % rows) * columns + Math.floor(i / rows)),
  );
}

/** v - mean(v) - x^ mean(v x^), over the deviation: layer norm's symmetric derivative for one row without weights. */
function centre(v: Flat, normalized: Flat, scale: number): Flat {
  const mean = v.reduce((a, b) => a + b) / v.length;
  const along = dot(v, normalized) / v.length;
  return v.map((a, i) => scale * (a - mean - along * at(normalized, i)));
}

function standardized(row: Flat, eps: number): { normalized: Flat; scale: number } {
  const mean = row.reduce((a, b) => a + b) / row.length;
  const scale = 1 / Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length + eps);
  return { normalized: row.map((v) => (v - mean) * scale), scale };
}

export function linearize64(
  t: Tower64,
  b: Block64,
  x: Flat,
): { next: Flat; linear: Linearized64; outputOf: (p: Flat) => Flat; probabilities: Flat } {
  const { width } = t;
  const n = x.length / width;
  const { probabilities, values } = attention64(t, b, x);
  const outputOf = (p: Flat) => blockOutput64(t, b, x, p, values);
  const z = outputOf(probabilities);
  // y is the block's output without its MLP
  const zero: Block64 = { ...b, fc2: [new Float64Array(b.fc2[0].length), new Float64Array(b.fc2[1].length)] };
  const y = blockOutput64(t, zero, x, probabilities, values);
  const slope = linear64(layerNorm64(y, ...b.norm2, t.eps), b.fc1[0], width, b.fc1[1]).map(
    derivative(t.activation),
  );
  const inner = slope.length / n;
  const mean = new Float64Array(width);
  for (let i = 0; i < z.length; i++) mean[i % width] = at(mean, i % width) + at(z, i) / n;
  const rows = Array.from({ length: n }, (_, i) =>
    standardized(y.subarray(i * width, (i + 1) * width), t.eps),
  );
  const post = standardized(mean, t.eps);
  const e = embed64(t, mean);
  const f = unit(e);
  const [outT, fc1T, fc2T] = [
    transpose(b.out[0], width),
    transpose(b.fc1[0], width),
    transpose(b.fc2[0], inner),
  ];
  const project = (p: Flat) => (t.projection ? linear64(p, t.projection, width) : p);
  const back = (g: Flat) => (t.projection ? linear64(g, transpose(t.projection, width), g.length) : g);
  const onSphere = (g: Flat) => g.map((v, i) => (v - dot(f, g) * at(f, i)) / norm(e));
  const linear: Linearized64 = {
    values,
    score: (embedding) => dot(unit(embedding), f),
    vjp(direction) {
      const gp = back(onSphere(direction)).map((v, i) => v * at(t.postNorm[0], i));
      const g = centre(gp, post.normalized, post.scale).map((v) => v / n);
      const v = linear64(g, fc2T, width);
      const dy = new Float64Array(n * width);
      rows.forEach(({ normalized, scale }, i) => {
        const u = linear64(
          v.map((a, k) => a * at(slope, i * inner + k)),
          fc1T,
          inner,
        );
        const c = centre(
          u.map((a, k) => a * at(b.norm2[0], k)),
          normalized,
          scale,
        );
        dy.set(
          c.map((a, k) => a + at(g, k)),
          i * width,
        );
      });
      return linear64(dy, outT, width);
    },
    jvp(dOut) {
      const dy = linear64(dOut, b.out[0], width);
      const q = new Float64Array(inner);
      const dm = new Float64Array(width);
      rows.forEach(({ normalized, scale }, i) => {
        const row = dy.subarray(i * width, (i + 1) * width);
        const c = centre(row, normalized, scale).map((a, k) => a * at(b.norm2[0], k));
        linear64(c, b.fc1[0], width).forEach((a, k) => {
          q[k] = at(q, k) + (a * at(slope, i * inner + k)) / n;
        });
        row.forEach((a, k) => {
          dm[k] = at(dm, k) + a / n;
        });
      });
      const dz = linear64(q, b.fc2[0], inner).map((a, k) => a + at(dm, k));
      const dp = centre(dz, post.normalized, post.scale).map((a, k) => a * at(t.postNorm[0], k));
      return onSphere(project(dp));
    },
  };
  return { next: z, linear, outputOf, probabilities };
}

/** ds/dA [H, N, N]. */
export function attentionGradient64(t: Tower64, l: Linearized64, embedding: Flat): Flat {
  const { heads, width } = t;
  const d = width / heads;
  const n = l.values.length / width;
  const dOut = l.vjp(unit(embedding));
  const g = new Float64Array(heads * n * n);
  for (let h = 0; h < heads; h++)
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let c = h * d; c < (h + 1) * d; c++)
          sum += at(dOut, i * width + c) * at(l.values, j * width + c);
        g[(h * n + i) * n + j] = sum;
      }
  return g;
}

/** LeGrad's relevance of each token [N], the class token first. */
export function relevance64(t: Tower64, l: Linearized64, embedding: Flat): Flat {
  const n = l.values.length / t.width;
  const r = new Float64Array(n);
  attentionGradient64(t, l, embedding).forEach((g, i) => {
    r[i % n] = at(r, i % n) + Math.max(0, g) / (t.heads * n);
  });
  return r;
}

/** torch.nn.functional.interpolate(mode="bilinear", align_corners=False) of one channel. */
export function bilinear64(
  x: Flat,
  [h, w]: readonly [number, number],
  [oh, ow]: readonly [number, number],
): Flat {
  const taps = (size: number, out: number, i: number) => {
    const p = Math.max(0, ((i + 0.5) * size) / out - 0.5);
    const low = Math.min(Math.floor(p), size - 1);
    return { low, high: Math.min(low + 1, size - 1), f: p - low };
  };
  return Float64Array.from({ length: oh * ow }, (_, i) => {
    const a = taps(h, oh, Math.floor(i / ow));
    const b = taps(w, ow, i % ow);
    const row = (r: number) => at(x, r * w + b.low) * (1 - b.f) + at(x, r * w + b.high) * b.f;
    return row(a.low) * (1 - a.f) + row(a.high) * a.f;
  });
}

/** A map's way from patches to the mask's pixels, without min-max. */
export function resampled64(t: Tower64, patches: Flat, size: readonly [number, number]): Flat {
  const image = [t.grid[0] * t.patch, t.grid[1] * t.patch] as const;
  return bilinear64(bilinear64(patches, t.grid, image), image, size);
}

/** The explainability map at the mask's size from the patches' relevance summed over the blocks. */
export function explainabilityMap64(t: Tower64, patches: Flat, size: readonly [number, number]): Flat {
  const [rows, columns] = t.grid;
  const image = [rows * t.patch, columns * t.patch] as const;
  const up = bilinear64(patches, t.grid, image);
  const low = up.reduce((a, b) => Math.min(a, b));
  const range = up.reduce((a, b) => Math.max(a, b)) - low;
  return bilinear64(range > 0 ? up.map((v) => (v - low) / range) : up.map(() => 0), image, size);
}

export interface Loss64 {
  readonly dice: number;
  readonly map: Flat;
}

export function diceOf64(
  t: Tower64,
  blocks: readonly Linearized64[],
  embedding: Flat,
  mask: Flat,
  size: readonly [number, number],
): Loss64 {
  const patches = new Float64Array(t.grid[0] * t.grid[1]);
  for (const l of blocks) {
    relevance64(t, l, embedding).forEach((v, j) => {
      if (j > 0) patches[j - 1] = at(patches, j - 1) + v;
    });
  }
  const map = explainabilityMap64(t, patches, size);
  const sum = (x: Flat) => x.reduce((a, b) => a + b, 0);
  return { dice: 1 - (2 * dot(map, mask) + 1) / (sum(map) + sum(mask) + 1), map };
}

/** The vision tower of a CLIP checkpoint of f32 weights. `image` is the side of what it is shown, in pixels. */
export async function tower64(
  model: string,
  config: string,
  image: number,
  space: "projected" | "hidden",
): Promise<Tower64> {
  const { vision_config: c } = JSON.parse(readFileSync(config, "utf8"));
  const bytes = new Uint8Array(readFileSync(model));
  const { tensors } = await readSafetensors(new MemorySource(model, bytes));
  const take = (name: string): Flat => {
    const stored = tensors.get(name);
    if (stored?.dtype !== "F32") throw new Error(`${model}: no f32 ${name}`);
    return Float64Array.from(new Float32Array(bytes.slice(stored.begin, stored.end).buffer));
  };
  const pair = (name: string) => [take(`${name}.weight`), take(`${name}.bias`)] as const;
  const side = Math.floor(image / c.patch_size);
  return {
    width: c.hidden_size,
    heads: c.num_attention_heads,
    eps: c.layer_norm_eps,
    activation: c.hidden_act,
    patch: c.patch_size,
    grid: [side, side],
    postNorm: pair("vision_model.post_layernorm"),
    projection: space === "projected" ? take("visual_projection.weight") : undefined,
    blocks: Array.from({ length: c.num_hidden_layers }, (_, i): Block64 => {
      const at = `vision_model.encoder.layers.${i}`;
      return {
        norm1: pair(`${at}.layer_norm1`),
        q: pair(`${at}.self_attn.q_proj`),
        k: pair(`${at}.self_attn.k_proj`),
        v: pair(`${at}.self_attn.v_proj`),
        out: pair(`${at}.self_attn.out_proj`),
        norm2: pair(`${at}.layer_norm2`),
        fc1: pair(`${at}.mlp.fc1`),
        fc2: pair(`${at}.mlp.fc2`),
      };
    }),
  };
}
