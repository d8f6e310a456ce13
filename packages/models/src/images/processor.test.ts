import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { noise } from "./fixtures/noise.ts";
import { boxToOriginal, boxToOutput, contentRect, pointToOutput } from "./geometry.ts";
import { pixels } from "./pixels.ts";
import { ImageProcessor } from "./processor.ts";
import { OPENAI_CLIP_MEAN, parseProcessorConfig, squareColour } from "./processor-config.ts";

interface Fixture {
  configs: Record<string, unknown>[];
  cases: {
    config: number;
    size: [number, number];
    seed: number;
    pil: string;
    torchvision: string;
    shape: number[];
    valid?: number;
    resized?: [number, number];
  }[];
}

const fixture = JSON.parse(
  readFileSync(new URL("./fixtures/processors.json", import.meta.url), "utf8"),
) as Fixture;
const file = "preprocessor_config.json";
const digest = (data: Float32Array) =>
  createHash("sha256").update(new Uint8Array(data.buffer)).digest("hex").slice(0, 24);

describe("ImageProcessor", () => {
  it.each(["pil", "torchvision"] as const)("equals transformers' %s processors in every bit", (backend) => {
    for (const c of fixture.cases) {
      const config = fixture.configs[c.config];
      const label = `${JSON.stringify(config)} on ${c.size[1]}x${c.size[0]}`;
      const processor = ImageProcessor.fromConfig(config, file, { backend });
      const { pixelValues, shape, pixelMask, geometry } = processor.process(noise(...c.size, 3, c.seed));
      expect(shape, label).toEqual(c.shape);
      expect(digest(pixelValues), label).toBe(c[backend]);
      if (c.valid !== undefined)
        expect(
          pixelMask?.reduce((sum, v) => sum + v, 0),
          label,
        ).toBe(c.valid);
      if (c.resized) expect([geometry.resized.height, geometry.resized.width], label).toEqual(c.resized);
    }
  });

  it("reads a processor_config.json with the image processor nested in it", () => {
    const nested = { processor_class: "LlavaProcessor", image_processor: fixture.configs[0] };
    expect(parseProcessorConfig(nested, file)).toEqual(parseProcessorConfig(fixture.configs[0], file));
  });

  it("pads to a square with LLaVA's colour, the odd pixel right or below", () => {
    expect(squareColour(OPENAI_CLIP_MEAN)).toEqual([122, 116, 104]);
    const processor = ImageProcessor.fromConfig(
      { image_processor_type: "LlavaImageProcessor", do_pad: true, do_resize: false, do_center_crop: false },
      file,
    ).with({ normalization: {} });
    const { pixelValues, shape, geometry } = processor.process(pixels(1, 4, 3, new Uint8Array(12).fill(9)));
    expect(shape).toEqual([1, 3, 4, 4]);
    expect(geometry.padded).toEqual({ left: 0, top: 1, width: 4, height: 4 });
    const row = (value: number) => [value, value, value, value];
    expect([...pixelValues.subarray(16, 32)]).toEqual([...row(116), ...row(9), ...row(116), ...row(116)]);
  });

  it("squashes to a square where told to, as MaskInversion does", () => {
    const clip = ImageProcessor.fromConfig(fixture.configs[0], file);
    const square = clip.with({ size: { kind: "exact", height: 56, width: 56 }, crop: undefined });
    const { shape, geometry } = square.process(noise(30, 70, 3, 1));
    expect(shape).toEqual([1, 3, 56, 56]);
    expect(boxToOutput(geometry, [35, 15, 70, 30])).toEqual([28, 28, 56, 56]);
  });

  it("maps boxes to the output and back, for every config and size", () => {
    for (const c of fixture.cases) {
      const [height, width] = c.size;
      const g = ImageProcessor.fromConfig(fixture.configs[c.config], file).geometry({ height, width });
      const box = [width * 0.1, height * 0.2, width * 0.7, height * 0.9] as const;
      const back = boxToOriginal(g, boxToOutput(g, box));
      // Two roundings of f64 each way on positions below 1000.
      for (let i = 0; i < 4; i++) expect(Math.abs(back[i]! - box[i]!)).toBeLessThan(1e-10);
      const shown = contentRect(g);
      expect(shown.left + shown.width).toBeLessThanOrEqual(g.output.width);
      expect(shown.top + shown.height).toBeLessThanOrEqual(g.output.height);
    }
  });

  it("maps SAM's prompts by the ratio of rounded sizes", () => {
    const sam = ImageProcessor.fromConfig({ image_processor_type: "SamImageProcessor" }, file);
    const g = sam.geometry({ height: 1200, width: 1800 });
    expect(g.resized).toEqual({ height: 683, width: 1024 }); // 682.67 rounds up
    expect(g.output).toEqual({ height: 1024, width: 1024 });
    expect(pointToOutput(g, 500, 375)).toEqual([500 * (1024 / 1800), 375 * (683 / 1200)]);
    expect(contentRect(g)).toEqual({ left: 0, top: 0, width: 1024, height: 683 });
  });

  it("processes one pixel, and 20000x1 without holding the resized picture", () => {
    const clip = ImageProcessor.fromConfig({ image_processor_type: "CLIPImageProcessor" }, file);
    expect(clip.process(pixels(1, 1, 3, new Uint8Array([1, 2, 3]))).shape).toEqual([1, 3, 224, 224]);
    expect(clip.process(noise(1, 20_000, 3, 1)).shape).toEqual([1, 3, 224, 224]);
    expect(clip.process(noise(20_000, 1, 3, 1)).shape).toEqual([1, 3, 224, 224]);
  });

  it.each([
    [
      "an aspect that leaves no row (DETR)",
      { image_processor_type: "DeformableDetrImageProcessor" },
      "BAD_SIZE",
    ],
    ["an aspect that leaves no row (SAM)", { image_processor_type: "SamImageProcessor" }, "BAD_SIZE"],
    [
      "a result of 1.0 G pixels",
      { image_processor_type: "CLIPImageProcessor", do_center_crop: false },
      "TOO_LARGE",
    ],
    [
      "a pad_size below the picture",
      { image_processor_type: "CLIPImageProcessor", do_pad: true, pad_size: 100 },
      "BAD_SIZE",
    ],
  ])("refuses %s", (_, config, code) => {
    const processor = ImageProcessor.fromConfig(config, file);
    expect(() => processor.process(noise(1, 20_000, 3, 1))).toThrowError(
      expect.objectContaining({ name: "ImageError", code }),
    );
  });

  it("refuses a picture that is not RGB", () => {
    const processor = ImageProcessor.fromConfig(fixture.configs[0], file);
    expect(() => processor.process(noise(4, 4, 1, 1))).toThrowError(/3 channels \(RGB\), found 1/);
  });
});

describe("parseProcessorConfig", () => {
  const clip = (fields: object) => ({ image_processor_type: "CLIPImageProcessor", ...fields });
  it.each([
    ["no object", 7, ""],
    ["null", null, ""],
    ["no class", {}, "image_processor_type"],
    ["an unknown class", { image_processor_type: "ViTImageProcessor" }, "image_processor_type"],
    ["a size of 0", clip({ size: 0 }), "size"],
    ["a size of words", clip({ size: "large" }), "size"],
    ["a fractional size", clip({ size: { shortest_edge: 1.5 } }), "size"],
    ["an unknown form of size", clip({ size: { shortest: 3 } }), "size"],
    ["SAM's size for CLIP", clip({ size: { longest_edge: 64 } }), "size"],
    [
      "CLIP's size for SAM",
      { image_processor_type: "SamImageProcessor", size: { shortest_edge: 64 } },
      "size",
    ],
    [
      "DETR without a longest edge",
      { image_processor_type: "DeformableDetrImageProcessor", size: { shortest_edge: 64 } },
      "size",
    ],
    ["an unknown filter", clip({ resample: 6 }), "resample"],
    ["a mean of two channels", clip({ image_mean: [0.5, 0.5] }), "image_mean"],
    ["a deviation of 0", clip({ image_std: [0.5, 0, 0.5] }), "image_std"],
    ["a flag that is no boolean", clip({ do_resize: "yes" }), "do_resize"],
    ["a negative rescale factor", clip({ rescale_factor: -1 }), "rescale_factor"],
    ["a bad crop size", clip({ crop_size: { height: 3 } }), "crop_size"],
    ["a nested fault", { image_processor: clip({ crop_size: -1 }) }, "image_processor.crop_size"],
  ])("names the file and the field of %s", (_, json, field) => {
    expect(() => parseProcessorConfig(json, file)).toThrowError(
      expect.objectContaining({
        name: "ProcessorConfigError",
        field,
        message: expect.stringContaining(file),
      }),
    );
  });
});
