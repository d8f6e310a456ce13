import { type Device, softmax, type Tensor } from "@mask-llava/runtime";
import type { CheckpointOptions, Folder, UploadOptions } from "../checkpoint/index.ts";
import {
  type ImageProcessor,
  loadImageProcessor,
  type Pixels,
  type ProcessedImage,
} from "../images/index.ts";
import { checkFinite, PixelProgram } from "../nn/index.ts";
import { Tokenizer } from "../text/index.ts";
import { Clip } from "./model.ts";

/** What CLIP says of a picture; arrays are row-major, shapes in Hugging Face's order. */
export interface ImageEncoding {
  readonly processed: ProcessedImage;
  /** [1, 1+N, D] */
  readonly lastHiddenState: { readonly shape: readonly number[]; readonly data: Float32Array };
  /** [1, D] */
  readonly poolerOutput: Float32Array;
  /** L2-normalised. [1, E] */
  readonly imageEmbeds: Float32Array;
}

export interface TextEncoding {
  /** [texts, T], padded with the last token of each text. */
  readonly inputIds: { readonly shape: readonly [number, number]; readonly data: Int32Array };
  /** L2-normalised. [texts, E] */
  readonly textEmbeds: Float32Array;
}

/** Pictures and texts to embeddings: CLIP with its processor and its tokenizer. Owns the model. */
export class ClipEncoder implements Disposable {
  readonly clip: Clip;
  readonly processor: ImageProcessor;
  readonly #folder: Folder;
  #tokenizer: Promise<Tokenizer> | undefined;
  readonly #image: PixelProgram<readonly [Tensor, Tensor, Tensor]>;

  private constructor(clip: Clip, processor: ImageProcessor, folder: Folder) {
    this.clip = clip;
    this.processor = processor;
    this.#folder = folder;
    this.#image = new PixelProgram(clip.device, "clip vision", (cmd, pixels) => {
      const { lastHiddenState } = clip.vision.forward(cmd, pixels, { resample: { antialias: false } }); // [1, 1+N, D]
      const pooled = clip.vision.pool(cmd, lastHiddenState); // [1, D]
      return [lastHiddenState, pooled, clip.imageEmbeds(cmd, pooled)]; // …, [1, E]
    });
  }

  static async load(
    device: Device,
    folder: Folder,
    options: CheckpointOptions & UploadOptions = {},
  ): Promise<ClipEncoder> {
    const processor = await loadImageProcessor(folder, "clip");
    return new ClipEncoder(await Clip.load(device, folder, options), processor, folder);
  }

  /**
   * Encodes a picture; the program is recorded at the first and replayed for the others.
   * @throws RuntimeError NOT_FINITE for weights whose answers are no numbers
   */
  async encodeImage(picture: Pixels): Promise<ImageEncoding> {
    const processed = this.processor.process(picture);
    const { pixels, program, outputs } = await this.#image.forShape(processed.shape);
    this.clip.device.write(pixels, processed.pixelValues);
    const read = await program.runAndRead(outputs);
    const [last, pooled, embeds] = read as [Float32Array, Float32Array, Float32Array];
    checkFinite("CLIP's last hidden state", last);
    checkFinite("CLIP's pooled output", pooled);
    checkFinite("CLIP's embedding of the picture", embeds);
    return {
      processed,
      lastHiddenState: { shape: outputs[0].shape, data: last },
      poolerOutput: pooled,
      imageEmbeds: embeds,
    };
  }

  /**
   * Encodes texts, cut to the positions that the text tower has.
   * @throws RuntimeError NOT_FINITE for weights whose answers are no numbers
   */
  async encodeTexts(texts: readonly string[]): Promise<TextEncoding> {
    this.#tokenizer ??= Tokenizer.load(this.#folder);
    const tokenizer = await this.#tokenizer;
    const { device, text } = this.clip;
    const maxLength = text.config.max_position_embeddings;
    const ids = texts.map((t) => tokenizer.encode(t, { maxLength }));
    const length = Math.max(...ids.map((i) => i.length));
    // what stands behind the end of a text does not matter to a causal tower: the end token, as CLIP's tokenizer pads
    const padded = ids.map((i) => [...i, ...Array<number>(length - i.length).fill(i.at(-1) ?? 0)]);
    const ends = text.endPositions(padded).map((end, row) => row * length + end);
    const shape = [texts.length, length] as const;
    using idTensor = device.tensor(
      { shape, dtype: "u32", label: "input_ids" },
      Uint32Array.from(padded.flat()),
    );
    using endTensor = device.tensor(
      { shape: [texts.length], dtype: "u32", label: "ends" },
      Uint32Array.from(ends),
    );
    const cmd = device.record("clip text");
    const embeds = this.clip.textEmbeds(cmd, text.forward(cmd, idTensor, endTensor).pooled); // [texts, E]
    using program = await cmd.finish({ outputs: [embeds] });
    const [textEmbeds] = (await program.runAndRead([embeds])) as [Float32Array];
    checkFinite("CLIP's embeddings of the texts", textEmbeds);
    return { inputIds: { shape, data: Int32Array.from(padded.flat()) }, textEmbeds };
  }

  /**
   * Zero-shot probabilities of texts for one picture: softmax of the scaled cosines. [1, texts]
   * @throws RuntimeError NOT_FINITE for a logit scale that gives no numbers
   */
  async probabilities(image: ImageEncoding, texts: TextEncoding): Promise<Float32Array> {
    const { device, config } = this.clip;
    const width = config.projection_dim;
    const count = texts.inputIds.shape[0];
    using i = device.tensor({ shape: [1, width], dtype: "f32", label: "image_embeds" }, image.imageEmbeds);
    using t = device.tensor({ shape: [count, width], dtype: "f32", label: "text_embeds" }, texts.textEmbeds);
    const cmd = device.record("clip probabilities");
    const probs = softmax(cmd, this.clip.logits(cmd, i, t)); // [1, texts]
    using program = await cmd.finish({ outputs: [probs] });
    const [result] = (await program.runAndRead([probs])) as [Float32Array];
    checkFinite("CLIP's probabilities of the texts", result);
    return result;
  }

  dispose(): void {
    this.#image.dispose();
    this.clip.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
