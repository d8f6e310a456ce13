import {
  type Box,
  ImageProcessor,
  pixels,
  RandomWeights,
  Sam,
  SamNetwork,
  samConfigSchema,
} from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { type Measured, measureProgram } from "./measure.ts";

/** facebook/sam-vit-base: the schema's defaults. */
const base = samConfigSchema.parse({ model_type: "sam" });

/** SAM-B's image encoder at 1024x1024: 4096 tokens, four global layers; random weights. */
export async function samBaseEncoder(device: Device): Promise<Measured> {
  using weights = new RandomWeights(device, { dtype: "f16" });
  const network = new SamNetwork(weights.weights, base);
  await network.ready();
  await weights.load();
  const { imageSize: side } = network;
  using input = device.tensor(
    { shape: [1, 3, side, side], dtype: "f32", label: "pixel_values" },
    Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i * 0.37)),
  );
  const cmd = device.record("sam-b encoder");
  const { imageEmbeddings } = network.vision.forward(cmd, input); // [1, 256, 64, 64]
  return await measureProgram(cmd, [imageEmbeddings], weights.bytes);
}

export interface SamTimes {
  /** Wall milliseconds, with recording and compiling: the picture's embedding; the masks of all boxes. */
  readonly encode: number;
  readonly decode: number;
  /** The best mask of each box at the picture's size, on the GPU. */
  readonly masks: number;
  readonly boxes: number;
  /** GPU bytes of the weights, and the peak of everything. */
  readonly weights: number;
  readonly peak: number;
}

/** SAM-B as it is used, with random weights: a picture of 1333x800, `boxes` prompts, a mask of the picture's size for each. */
export async function runSamRealSize(device: Device, boxes = 30): Promise<SamTimes> {
  const [width, height] = [1333, 800];
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7919) >> 5);
  const picture = pixels(height, width, 3, data);
  const prompts: Box[] = Array.from({ length: boxes }, (_, i) => {
    const [x, y] = [(i * 131) % (width - 200), (i * 89) % (height - 200)];
    return [x, y, x + 60 + ((i * 17) % 140), y + 60 + ((i * 29) % 140)];
  });
  const weights = new RandomWeights(device, { dtype: "f16" });
  const processor = ImageProcessor.fromConfig({}, "defaults", { family: "sam" });
  using sam = await Sam.fromWeights(weights, base, processor);
  const timed = async <T>(work: () => Promise<T>): Promise<[T, number]> => {
    const started = performance.now();
    const result = await work();
    return [result, performance.now() - started];
  };
  const [image, encode] = await timed(() => sam.encode(picture));
  using _image = image;
  const [answer, decode] = await timed(() => sam.decode(image, { boxes: prompts }));
  using _answer = answer;
  const [best, masks] = await timed(async () => {
    const tensor = await answer.bestMasks();
    await device.idle();
    return tensor;
  });
  using _best = best;
  const seen = (await device.read(best)) as Float32Array;
  if (!seen.every((v) => v === 0 || v === 1)) throw new Error("SAM: a binary mask holds something else");
  const { peak } = device.memory();
  return { encode, decode, masks, boxes, weights: weights.bytes, peak };
}
