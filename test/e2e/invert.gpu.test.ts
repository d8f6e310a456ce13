import { join } from "node:path";
import type { InvertOutput } from "mask-llava";
import { describe, expect, test } from "vitest";
import { expectNear, pngSize, relativeValues, runModel } from "./model-runs.ts";
import { expectation, fixture, loadTensors, sharedDeviceCli, temporaryFolder, tensor } from "./support.ts";

const cli = sharedDeviceCli();

interface Expectation {
  masks: number;
  runs: { tag: string; layer_index: number; alpha: number; lr: number; iterations: number; wd: number }[];
}

describe.each(["mask-inversion-tiny-quick-gelu", "mask-inversion-tiny-gelu-resampled"])(
  "invert with %s",
  (name) => {
    const { masks, runs } = expectation<Expectation>(name);
    const files = Array.from({ length: masks }, (_, i) => fixture(name, `mask${i}.png`));
    const argv = [
      ...["invert", fixture(name, "image.png"), "--model", fixture(name)],
      ...files.flatMap((file) => ["--mask", file]),
    ];

    test.each(runs)(
      "gives the numbers of the published implementation: $tag",
      async ({ tag, layer_index, alpha, lr, iterations, wd }) => {
        const expected = await loadTensors(fixture(name, "expect.safetensors"));
        const pixels = tensor(expected, "pixel_values").shape;
        const { output, tensors } = await runModel<InvertOutput>(
          cli,
          ...argv,
          ...["--image-size", String(pixels[2]), "--layer", String(layer_index), "--alpha", String(alpha)],
          ...["--lr", String(lr), "--iterations", String(iterations), "--weight-decay", String(wd)],
        );
        const embeddings = tensor(expected, `${tag}.embeddings`).shape;
        const maps = tensor(expected, `${tag}.explainability_maps`).shape;
        // the project's bounds for this method: losses 1e-4, maps 1e-3, embeddings after all steps 2e-3
        expectNear(tensors, expected, {
          pixel_values: ["pixel_values", pixels],
          embeddings: [`${tag}.embeddings`, embeddings, 2e-3],
          explainability_maps: [`${tag}.explainability_maps`, maps, 1e-3],
          dice_losses: [`${tag}.dice_losses`, [iterations], 1e-4],
        });
        const initial = tensor(tensors, "initial_embedding");
        const width = embeddings[1] as number;
        expect(initial.shape).toEqual([masks, width]);
        const one = tensor(expected, "initial_embedding").values.slice(0, width);
        for (let i = 0; i < masks; i++) {
          expect(relativeValues(initial.values.slice(i * width, (i + 1) * width), one)).toBeLessThanOrEqual(
            3e-4,
          );
        }
        const first = expected[`${tag}.first_explainability_maps`];
        const ours = tensor(tensors, "first_explainability_maps");
        expect(ours.shape).toEqual(maps);
        if (first) expect(relativeValues(ours.values, first.values)).toBeLessThanOrEqual(1e-3);
        expect(output.diceLosses).toEqual([...tensor(tensors, "dice_losses").values]);
        expect(output.masks.map(({ file }) => file)).toEqual(files);
      },
    );

    test("draws the maps, and tells a line a mask", async () => {
      const png = join(temporaryFolder(), "maps.png");
      const { code, stdout } = await cli(...argv, "--iterations", "2", "--save-picture", png);
      expect(code).toBe(0);
      expect(stdout.split("\n")).toHaveLength(masks + 1);
      expect(stdout).toMatch(/^\d\.\d{4} -> \d\.\d{4} {2}.*mask0\.png$/m);
      expect(pngSize(png).width).toBe(1296);
    });
  },
);
