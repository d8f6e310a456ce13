import { Random } from "@mask-llava/runtime";
import { describe, expect, it } from "vitest";
import { detrGeometry, encoderProposals, noProposal } from "./geometry.ts";

/** A batch of pictures in the top left corners of their masks, on two levels of a network with strides 8 and 16. */
function randomBatch(random: Random) {
  const shape = {
    batch: random.integer(1, 4),
    height: random.integer(20, 90),
    width: random.integer(20, 90),
  };
  const levels = [8, 16].map((s) => [Math.ceil(shape.height / s), Math.ceil(shape.width / s)] as const);
  const mask = new Uint8Array(shape.batch * shape.height * shape.width);
  const pictures = Array.from({ length: shape.batch }, (_, b) => {
    const picture = {
      height: random.integer(10, shape.height + 1),
      width: random.integer(10, shape.width + 1),
    };
    for (let y = 0; y < picture.height; y++) {
      const row = (b * shape.height + y) * shape.width;
      mask.fill(1, row, row + picture.width);
    }
    return picture;
  });
  return { shape, levels, mask, pictures, cells: levels.reduce((n, [h, w]) => n + h * w, 0) };
}

describe("detrGeometry", () => {
  it("keeps valid cells in the picture's corner, and their references within the valid part", () => {
    for (let seed = 0; seed < 60; seed++) {
      const { shape, levels, mask, pictures, cells } = randomBatch(new Random(seed));
      const { valid, validRatios, referencePoints } = detrGeometry(shape, levels, mask, 32);
      for (const [b, picture] of pictures.entries()) {
        let cell = b * cells;
        for (const [level, [h, w]] of levels.entries()) {
          const [ratioX, ratioY] = validRatios.subarray((b * 2 + level) * 2) as unknown as [number, number];
          // a cell is valid where the pixel at its corner is picture
          const rows = Math.ceil(picture.height / (shape.height / h) - 1e-6);
          const columns = Math.ceil(picture.width / (shape.width / w) - 1e-6);
          expect(Math.abs(ratioY * h - rows)).toBeLessThan(1e-4);
          expect(Math.abs(ratioX * w - columns)).toBeLessThan(1e-4);
          for (let i = 0; i < h * w; i++, cell++) {
            const inside = i % w < columns && Math.floor(i / w) < rows;
            expect(valid[cell]).toBe(inside ? 1 : 0);
            const [x, y] = referencePoints.subarray((cell * 2 + level) * 2) as unknown as [number, number];
            // on its own level a cell looks at its own centre, whatever the padding
            expect(x).toBeCloseTo(((i % w) + 0.5) / w, 5);
            expect(y).toBeCloseTo((Math.floor(i / w) + 0.5) / h, 5);
          }
        }
      }
    }
  });

  it("embeds the first row and column of a level by hand", () => {
    const levels = [[2, 4]] as const;
    const shape = { batch: 1, height: 16, width: 32 };
    const mask = new Uint8Array(16 * 32).fill(1);
    const { positions } = detrGeometry(shape, levels, mask, 8);
    const place = (i: number, n: number) => ((i + 0.5) / n) * 2 * Math.PI;
    const expected = [0, 1].flatMap((y) =>
      [0, 1, 2, 3].flatMap((x) =>
        [place(y, 2), place(x, 4)].flatMap((p) => [p, p / 100].flatMap((a) => [Math.sin(a), Math.cos(a)])),
      ),
    );
    // positions are divided by n + 1e-6, in f32
    for (const [i, v] of expected.entries())
      expect(Math.abs((positions[i] as number) - v)).toBeLessThan(5e-6);
  });
});

describe("encoderProposals", () => {
  it("proposes a box of the level's size around each valid cell that is not at the border", () => {
    for (let seed = 0; seed < 60; seed++) {
      const { shape, levels, mask, cells } = randomBatch(new Random(seed));
      const { logits, valid } = encoderProposals(shape, levels, mask);
      const { valid: inside, validRatios } = detrGeometry(shape, levels, mask, 32);
      for (let b = 0, cell = 0; b < shape.batch; b++) {
        for (const [level, [h, w]] of levels.entries()) {
          const [ratioX, ratioY] = validRatios.subarray((b * 2 + level) * 2) as unknown as [number, number];
          for (let i = 0; i < h * w; i++, cell++) {
            const box = [...logits.subarray(cell * 4, cell * 4 + 4)];
            const centre = [((i % w) + 0.5) / (ratioX * w), (Math.floor(i / w) + 0.5) / (ratioY * h)];
            if (valid[cell]) {
              expect(inside[cell]).toBe(1);
              const side = 0.05 * 2 ** level;
              for (const [k, v] of [...centre, side, side].entries())
                expect(1 / (1 + Math.exp(-(box[k] as number)))).toBeCloseTo(v, 5);
            } else {
              expect(box).toEqual(Array(4).fill(Math.fround(noProposal)));
              const border = centre.some((v) => v < 0.0101 || v > 0.9899);
              expect(border || !inside[cell]).toBe(true);
            }
          }
        }
        expect(cell).toBe((b + 1) * cells);
      }
    }
  });
});
