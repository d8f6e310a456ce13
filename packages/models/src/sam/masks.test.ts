import type { Device, Tensor } from "@mask-llava/runtime";
import { expect, test } from "vitest";
import type { Geometry } from "../images/index.ts";
import { Turns } from "../nn/index.ts";
import type { MaskUpsampler } from "./mask-upsampler.ts";
import { SamMasks } from "./masks.ts";

const [height, width] = [3, 4];
const pixels = height * width;

/** Five prompts of two masks, the second the better one of odd prompts; row r enlarged has a 1 at place r alone. */
function fakeMasks(atOnce: number): SamMasks {
  const chunk = new Float32Array(atOnce * pixels);
  const upsampler: Pick<MaskUpsampler, "run"> = {
    async run(_, rows, kind, __, sink) {
      expect(kind).toBe("binary");
      for (let first = 0; first < rows.length; first += atOnce) {
        const part = rows.slice(first, first + atOnce);
        chunk.fill(0); // the memory is used again, as the GPU's is
        for (const [i, row] of part.entries()) chunk[i * pixels + row] = 1;
        await sink({ maps: {} as Tensor, first, count: part.length });
      }
    },
  };
  return new SamMasks({
    device: { read: async () => chunk } as unknown as Device,
    predMasks: { shape: [5, 2, 8, 8] } as unknown as Tensor,
    iouScores: { shape: [5, 2], data: Float32Array.from({ length: 10 }, (_, i) => [4, 2, 3, 5][i % 4] ?? 0) },
    geometry: { original: { height, width } } as Geometry,
    upsampler: upsampler as MaskUpsampler,
    turns: new Turns(),
  });
}

test.each([1, 2, 5])(
  "best masks come one by one, %i at a time from the GPU, in the order asked for",
  async (atOnce) => {
    const masks = fakeMasks(atOnce);
    const visited: [number, Uint8Array][] = [];
    const visit = (mask: Uint8Array, prompt: number) => void visited.push([prompt, mask]);
    await masks.visitBestMasks(visit);
    await masks.visitBestMasks(visit, [3, 0]);
    const best = [0, 3, 4, 7, 8]; // rows of the better masks
    expect(visited.map(([prompt]) => prompt)).toEqual([0, 1, 2, 3, 4, 3, 0]);
    for (const [prompt, mask] of visited) {
      expect(mask.indexOf(1)).toBe(best[prompt]);
      expect(mask.reduce((a, b) => a + b)).toBe(1);
      expect(mask.buffer.byteLength).toBe(pixels); // a byte a pixel, and no more memory behind it
    }
  },
);
