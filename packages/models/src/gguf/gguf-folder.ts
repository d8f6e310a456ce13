import {
  type ByteSource,
  CheckpointError,
  ConfigError,
  checkFileName,
  type Folder,
  MemorySource,
  type StoredTensor,
  type TensorFiles,
} from "../checkpoint/index.ts";
import { projectorConfig } from "./clip-config.ts";
import { type GgufHeader, type GgufTensor, readGguf } from "./header.ts";
import { type LlamaConfigJson, llamaConfig } from "./llama-config.ts";
import { GgufMetadata } from "./metadata.ts";
import { decoderName, feedForwardSwapped, visionName } from "./names.ts";
import { tokenizerJsons } from "./tokenizer.ts";

/** A file in a folder. */
export interface FilePlace {
  readonly folder: Folder;
  readonly file: string;
}

export interface GgufOptions {
  /** The vision tower and projector of a LLaVA model. */
  readonly mmproj?: FilePlace | undefined;
}

/** The mark of a picture in LLaVA's prompts. */
const imageToken = "<image>";

/** Frequency divisors of Llama 3.1 and later: a setting stored as a tensor. */
const ropeTensor = "rope_freqs.weight";

/** One file with its header. */
interface Part {
  readonly place: FilePlace;
  readonly header: GgufHeader;
}

/**
 * A GGUF file (or the parts of one that was split) seen as a checkpoint folder in Hugging Face's layout: config.json,
 * tokenizer, generation and processor files are made of the metadata, and `tensors` gives the weights under Hugging Face's
 * names. With an mmproj file it is a LLaVA checkpoint, without one a LLaMA.
 */
export class GgufFolder implements Folder {
  readonly name: string;
  readonly #parts: readonly Part[];
  readonly #mmproj: Part | undefined;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #swapped: boolean;
  readonly #config: LlamaConfigJson;

  private constructor(init: {
    name: string;
    parts: readonly Part[];
    mmproj: Part | undefined;
    config: LlamaConfigJson;
    files: ReadonlyMap<string, Uint8Array>;
    swapped: boolean;
  }) {
    this.name = init.name;
    this.#parts = init.parts;
    this.#mmproj = init.mmproj;
    this.#config = init.config;
    this.#files = init.files;
    this.#swapped = init.swapped;
  }

  /** Reads and validates the headers. Throws CheckpointError, ConfigError or TokenizerError. */
  static async open(place: FilePlace, options: GgufOptions = {}): Promise<GgufFolder> {
    const parts = await openParts(place);
    const metadata = new GgufMetadata(place.file, (parts[0] as Part).header.metadata);
    const tensors = byName(parts);
    const config = llamaConfig(metadata, tensors, await ropeFactors(parts));
    const mmproj = options.mmproj && (await openPart(options.mmproj));
    const vision = mmproj && describeVision(mmproj, config);
    const text = tokenizerJsons(metadata, vision && imageToken);
    const { bos_token_id, eos_token_id } = text.generation;
    const language = { ...config, bos_token_id, eos_token_id };
    const model = vision
      ? {
          model_type: "llava",
          architectures: ["LlavaForConditionalGeneration"],
          text_config: language,
          image_token_index: text.imageTokenId,
          ...vision.model,
        }
      : language;
    const files = {
      "config.json": model,
      "tokenizer.json": text.tokenizer,
      "tokenizer_config.json": text.config,
      "generation_config.json": text.generation,
      ...(vision && { "preprocessor_config.json": vision.processor }),
    };
    const encoder = new TextEncoder();
    return new GgufFolder({
      name: place.folder.name === "." ? place.file : `${place.folder.name}/${place.file}`,
      parts,
      mmproj,
      config,
      files: new Map(
        Object.entries(files).map(([name, json]) => [
          name,
          encoder.encode(`${JSON.stringify(json, null, 1)}\n`),
        ]),
      ),
      swapped: vision?.swapped ?? false,
    });
  }

  async open(name: string): Promise<ByteSource | undefined> {
    checkFileName(name, this.name);
    const bytes = this.#files.get(name);
    return bytes && new MemorySource(name, bytes);
  }

  /** The files that are made of the metadata, by name. */
  get generated(): ReadonlyMap<string, Uint8Array> {
    return this.#files;
  }

  async tensors(): Promise<TensorFiles> {
    const sources: ByteSource[] = [];
    const tensors = new Map<string, StoredTensor>();
    const add = async ({ place, header }: Part, nameOf: (tensor: GgufTensor) => string) => {
      const source = await openSource(place);
      sources.push(source);
      for (const tensor of header.tensors) {
        if (tensor.name === ropeTensor) continue;
        const name = nameOf(tensor);
        const twin = tensors.get(name);
        if (twin) {
          throw new CheckpointError(
            `stands for ${JSON.stringify(name)}, and so does ${JSON.stringify(twin.name)}`,
            {
              file: place.file,
              tensor: tensor.name,
            },
          );
        }
        tensors.set(name, this.#stored(tensor, source));
      }
    };
    const inModel = this.#mmproj ? "language_model." : "";
    try {
      for (const part of this.#parts) await add(part, ({ name }) => inModel + decoderName(name));
      if (this.#mmproj) await add(this.#mmproj, ({ name }) => visionName(name, this.#swapped));
    } catch (error) {
      await Promise.all(sources.map((s) => s.close?.()));
      throw error;
    }
    return { tensors, metadata: {}, sources };
  }

  /**
   * llama.cpp's rotary embedding turns neighbouring elements where Hugging Face's turns halves of a head, so that its
   * converter interleaves the rows of queries and keys of LLaMAs (`LlamaModel.permute` of its conversion; ggml's
   * docs/gguf.md shows it under llama.tensor_data_layout).
   */
  #stored({ name, type, shape, begin, end }: GgufTensor, source: ByteSource): StoredTensor {
    const rotated = /^blk\.\d+\.attn_[qk]\./.test(name);
    return {
      name,
      dtype: type,
      shape,
      source,
      begin,
      end,
      ...(rotated && { headRows: this.#config.head_dim }),
    };
  }
}

async function openSource({ folder, file }: FilePlace): Promise<ByteSource> {
  const source = await folder.open(file);
  if (!source) throw new CheckpointError("there is no such file", { file });
  return source;
}

async function openPart(place: FilePlace): Promise<Part> {
  const source = await openSource(place);
  try {
    return { place, header: await readGguf(source) };
  } finally {
    await source.close?.();
  }
}

const splitName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/** The file, or all parts of one that llama-gguf-split cut, the first (which has the metadata) first. */
async function openParts(place: FilePlace): Promise<Part[]> {
  const [, stem, , total] = splitName.exec(place.file) ?? [];
  if (stem === undefined || total === undefined) {
    const part = await openPart(place);
    const count = new GgufMetadata(place.file, part.header.metadata).optionalCount("split.count") ?? 1;
    if (count <= 1) return [part];
    throw new ConfigError(
      place.file,
      "split.count",
      "this is a part of a file, and its name does not say so",
      {
        found: String(count),
        expected: "a name that ends in -00001-of-0000N.gguf",
      },
    );
  }
  const parts: Part[] = [];
  for (let number = 1; number <= Number(total); number++) {
    const file = `${stem}-${String(number).padStart(5, "0")}-of-${total}.gguf`;
    parts.push(await openPart({ ...place, file }));
  }
  const listed = new GgufMetadata((parts[0] as Part).place.file, (parts[0] as Part).header.metadata);
  const expected = listed.optionalCount("split.tensors.count");
  const found = parts.reduce((n, { header }) => n + header.tensors.length, 0);
  if (expected !== undefined && expected !== found) {
    throw listed.error("split.tensors.count", `is not what the ${total} parts hold`, String(found));
  }
  return parts;
}

function byName(parts: readonly Part[]): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const { place, header } of parts) {
    for (const tensor of header.tensors) {
      if (tensors.has(tensor.name)) {
        throw new CheckpointError("is in another part, too", { file: place.file, tensor: tensor.name });
      }
      tensors.set(tensor.name, tensor);
    }
  }
  return tensors;
}

/** The values of `rope_freqs.weight`. */
async function ropeFactors(parts: readonly Part[]): Promise<number[] | undefined> {
  for (const { place, header } of parts) {
    const tensor = header.tensors.find(({ name }) => name === ropeTensor);
    if (!tensor) continue;
    const issue = { file: place.file, tensor: ropeTensor };
    if (tensor.type !== "F32" || tensor.shape.length !== 1) {
      throw new CheckpointError("is not a list of numbers", {
        ...issue,
        found: `${tensor.type} [${tensor.shape.join(", ")}]`,
        expected: "F32 [n]",
      });
    }
    const source = await openSource(place);
    try {
      const bytes = (await source.read(tensor.begin, tensor.end - tensor.begin)).slice();
      const factors = Array.from(new Float32Array(bytes.buffer));
      const wrong = factors.find((f) => !(Number.isFinite(f) && f > 0));
      if (wrong === undefined) return factors;
      throw new CheckpointError("has a value that divides no frequency", { ...issue, found: String(wrong) });
    } finally {
      await source.close?.();
    }
  }
  return undefined;
}

function describeVision({ place, header }: Part, language: LlamaConfigJson) {
  const tensors = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  const metadata = new GgufMetadata(place.file, header.metadata);
  const config = projectorConfig(metadata, tensors);
  if (config.outputs !== undefined && config.outputs !== language.hidden_size) {
    throw new CheckpointError("is for a decoder of another width", {
      file: place.file,
      tensor: "mm.2.weight",
      found: String(config.outputs),
      expected: String(language.hidden_size),
    });
  }
  return { ...config, swapped: feedForwardSwapped(tensors, metadata.count("clip.vision.embedding_length")) };
}
