import { type Device, type Program, ShapeError, type Tensor } from "@mask-llava/runtime";
import {
  Checkpoint,
  type CheckpointOptions,
  type Folder,
  floatDType,
  parseConfig,
  requireJson,
  type UploadOptions,
} from "../checkpoint/index.ts";
import {
  type ImageProcessor,
  loadImageProcessor,
  type Pixels,
  type ProcessedImage,
  type Size,
} from "../images/index.ts";
import { Turns } from "../nn/index.ts";
import { type PaddedBatch, padBatch } from "./batch.ts";
import { type DeformableDetrConfig, deformableDetrConfigSchema } from "./config.ts";
import { DetrInputs } from "./inputs.ts";
import { deformableDetrIgnored, deformableDetrNames } from "./names.ts";
import { DeformableDetrNetwork, type DetrStates } from "./network.ts";
import { type DetectedObject, detectObjects, type ObjectOptions } from "./objects.ts";
import { type Detections, type PostProcessOptions, postProcess, type RawDetections } from "./post-process.ts";

/** Values read back, with their shape. */
export interface HostStates {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What the network says of a batch, under the names of the reference's outputs. */
export interface DetrOutput {
  /** [B, Q, C] */
  readonly logits: HostStates;
  /** (cx, cy, w, h) in the unit square of each picture. [B, Q, 4] */
  readonly predBoxes: HostStates;
  /** Only where asked for, as it is large. [B, S, D] */
  readonly encoderLastHiddenState: HostStates | undefined;
  /** Only where asked for. [B, Q, D] */
  readonly lastHiddenState: HostStates | undefined;
}

export interface DetrOptions {
  /** Read the last hidden states of encoder and decoder back too; default false. */
  readonly states?: boolean;
}

/** One picture's detections. */
export interface Detection {
  readonly processed: ProcessedImage;
  readonly output: DetrOutput;
  readonly raw: RawDetections;
  /** Size of the picture as it was given. */
  readonly size: Size;
}

/** Deformable DETR with its processor: pictures to boxes. Owns its weights and the program of the last input shape. */
export class DeformableDetr implements Disposable {
  readonly config: DeformableDetrConfig;
  readonly device: Device;
  readonly network: DeformableDetrNetwork;
  readonly processor: ImageProcessor;
  readonly #checkpoint: Checkpoint;
  readonly #turns = new Turns();
  #recorded: { key: string; inputs: DetrInputs; program: Program; outputs: readonly Tensor[] } | undefined;

  private constructor(checkpoint: Checkpoint, config: DeformableDetrConfig, processor: ImageProcessor) {
    this.config = config;
    this.device = checkpoint.device;
    this.processor = processor;
    this.#checkpoint = checkpoint;
    const fold = { dtype: floatDType(checkpoint.dtype), file: checkpoint.index.name };
    this.network = new DeformableDetrNetwork(checkpoint.weights, config, fold);
  }

  /**
   * Loads a Hugging Face folder: `config.json`, safetensors, `preprocessor_config.json`.
   * @throws ConfigError, ProcessorConfigError, CheckpointError, OutOfMemoryError, CancelledError
   */
  static async load(
    device: Device,
    folder: Folder,
    options: CheckpointOptions & UploadOptions = {},
  ): Promise<DeformableDetr> {
    const json = await requireJson(folder, "config.json");
    const config = parseConfig(deformableDetrConfigSchema, json, "config.json");
    const processor = await loadImageProcessor(folder, "deformable_detr");
    const checkpoint = await Checkpoint.open(device, folder, {
      ...options,
      rename: deformableDetrNames,
      ignore: deformableDetrIgnored,
    });
    try {
      const model = new DeformableDetr(checkpoint, config, processor);
      await checkpoint.load(options);
      return model;
    } catch (error) {
      checkpoint.dispose();
      throw error;
    }
  }

  /** Runs the network on a picture. A program is recorded for each new input shape and replayed while it stays. */
  async detect(picture: Pixels, options?: DetrOptions): Promise<Detection> {
    const processed = this.processor.process(picture);
    const output = await this.forward(padBatch([processed]), options);
    return { processed, output, raw: rawDetections(output, 0), size: processed.geometry.original };
  }

  /** The best pairs of query and class, as the reference's processor gives them. */
  postProcess({ raw, size }: Detection, options?: PostProcessOptions): Detections {
    return postProcess(raw, size, options);
  }

  /** One box a query, whatever its class, without near duplicates. */
  objects({ raw, size }: Detection, options?: ObjectOptions): DetectedObject[] {
    return detectObjects(raw, size, options);
  }

  /** Runs the network on a batch of processed pictures. Calls that overlap are run one after the other. */
  forward(batch: PaddedBatch, options: DetrOptions = {}): Promise<DetrOutput> {
    // a call for another shape replaces the program, which must not happen under one that still runs
    return this.#turns.take(() => this.#run(batch, options));
  }

  /** Runs the network on a batch and reads the states that `choose` names, in a program of its own. */
  async states<K extends string>(
    batch: PaddedBatch,
    choose: (states: DetrStates) => Record<K, Tensor>,
  ): Promise<Record<K, { shape: readonly number[]; data: Float32Array | Int32Array | Uint32Array }>> {
    using inputs = this.#inputs(batch);
    const cmd = this.device.record("deformable detr states");
    const chosen = choose(this.network.forward(cmd, inputs));
    const names = Object.keys(chosen) as K[];
    const tensors = names.map((name) => chosen[name]);
    using program = await cmd.finish({ outputs: tensors });
    inputs.write(batch.pixelValues, batch.pixelMask);
    const data = await program.runAndRead(tensors);
    const read = names.map((name, i) => [name, { shape: chosen[name].shape, data: data[i] }]);
    return Object.fromEntries(read);
  }

  dispose(): void {
    this.#forget();
    this.#checkpoint.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #run(batch: PaddedBatch, options: DetrOptions): Promise<DetrOutput> {
    const { program, inputs, outputs } = await this.#record(batch);
    inputs.write(batch.pixelValues, batch.pixelMask);
    const wanted = options.states ? outputs : outputs.slice(0, 2);
    const data = await program.runAndRead(wanted);
    const [logits, predBoxes, encoderLastHiddenState, lastHiddenState] = wanted.map(
      ({ shape }, i): HostStates => ({ shape, data: data[i] as Float32Array }),
    );
    return { logits, predBoxes, encoderLastHiddenState, lastHiddenState } as DetrOutput;
  }

  async #record(batch: PaddedBatch) {
    const key = `${batch.shape.join("x")} ${isPadded(batch)}`;
    if (this.#recorded?.key === key) return this.#recorded;
    this.#forget();
    const inputs = this.#inputs(batch);
    try {
      const cmd = this.device.record("deformable detr");
      const { logits, predBoxes, encoderLayers, decoderLayers } = this.network.forward(cmd, inputs);
      const outputs = [logits, predBoxes, encoderLayers.at(-1) as Tensor, decoderLayers.at(-1) as Tensor];
      this.#recorded = { key, inputs, program: await cmd.finish({ outputs }), outputs };
      return this.#recorded;
    } catch (error) {
      inputs.dispose();
      throw error;
    }
  }

  #inputs(image: PaddedBatch): DetrInputs {
    const [batch, , height, width] = image.shape;
    const levels = this.network.levelSizes(height, width);
    return new DetrInputs(this.device, this.config, {
      batch,
      height,
      width,
      levels,
      padded: isPadded(image),
    });
  }

  #forget(): void {
    this.#recorded?.program.dispose();
    this.#recorded?.inputs.dispose();
    this.#recorded = undefined;
  }
}

/** One picture's part of a batch's output. */
export function rawDetections({ logits, predBoxes }: DetrOutput, index: number): RawDetections {
  const [batch, queries, classes] = logits.shape as [number, number, number];
  if (!(index >= 0 && index < batch)) throw new ShapeError(`no picture ${index} in a batch of ${batch}`);
  return {
    queries,
    classes,
    logits: logits.data.subarray(index * queries * classes, (index + 1) * queries * classes),
    boxes: predBoxes.data.subarray(index * queries * 4, (index + 1) * queries * 4),
  };
}

function isPadded({ pixelMask }: PaddedBatch): boolean {
  return !pixelMask.every((v) => v === 1);
}
