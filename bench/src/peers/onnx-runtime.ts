import type * as Ort from "onnxruntime-node";
import type { Feed, OnnxModel, Result } from "./onnx/graph.ts";
import type { ElementType } from "./onnx/messages.ts";
import { copyModel, firstElementModel } from "./onnx/transfers.ts";

type Location = "cpu" | "gpu-buffer";

const typeNames = { f32: "float32", f16: "float16", i32: "int32", i64: "int64", u8: "uint8" } as const;

/** ONNX Runtime with its WebGPU provider: the other side of a comparison. */
export class OnnxRuntime implements AsyncDisposable {
  readonly version: string;
  readonly #ort: typeof Ort;
  /** Sessions that move values, by what they do. */
  readonly #transfers = new Map<string, Promise<Ort.InferenceSession>>();

  private constructor(ort: typeof Ort) {
    this.#ort = ort;
    this.version = ort.env.versions.node ?? ort.env.versions.common;
  }

  /** Loads the package's native library. Throws where there is none for this platform. */
  static async load(): Promise<OnnxRuntime> {
    try {
      return new OnnxRuntime(await import("onnxruntime-node"));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(
        `onnxruntime-node cannot be loaded on ${process.platform}-${process.arch} (npm ci installs it): ${reason}`,
        { cause },
      );
    }
  }

  /** A model with its inputs on the GPU. Throws where a node of it would run on the CPU. */
  async open(model: OnnxModel): Promise<PeerSession> {
    const session = await this.#create(model.bytes, "gpu-buffer");
    const inputs: Record<string, Ort.Tensor> = {};
    for (const feed of model.feeds) inputs[feed.name] = await this.#upload(feed);
    return new PeerSession(this, model.results, session, inputs);
  }

  /** A value's elements on the host; halves as bits. */
  async download(type: ElementType, value: Ort.Tensor): Promise<Ort.Tensor.DataType> {
    const copy = await this.#transfer(type, "cpu", copyModel);
    return tensorNamed("y", await copy.run({ x: value })).data;
  }

  /** Waits until `value` is computed, and with it everything that was submitted before. */
  async wait(type: ElementType, value: Ort.Tensor): Promise<void> {
    const first = await this.#transfer(type, "cpu", firstElementModel);
    await first.run({ x: value });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#transfers.values()) await (await session).release();
    this.#transfers.clear();
  }

  /** Indices stay on the host, where ONNX Runtime's kernels expect them. */
  async #upload({ type, shape, data }: Feed): Promise<Ort.Tensor> {
    const given = new this.#ort.Tensor(typeNames[type], data as never, shape);
    if (type !== "f32" && type !== "f16") return given;
    const copy = await this.#transfer(type, "gpu-buffer", copyModel);
    return tensorNamed("y", await copy.run({ x: given }));
  }

  #transfer(
    type: ElementType,
    to: Location,
    model: (type: ElementType) => Uint8Array,
  ): Promise<Ort.InferenceSession> {
    const key = `${model.name} ${type} ${to}`;
    let session = this.#transfers.get(key);
    if (!session) {
      session = this.#create(model(type), to);
      this.#transfers.set(key, session);
    }
    return session;
  }

  #create(bytes: Uint8Array, location: Location): Promise<Ort.InferenceSession> {
    return this.#ort.InferenceSession.create(bytes, {
      executionProviders: ["webgpu"],
      graphOptimizationLevel: "all",
      preferredOutputLocation: location,
      // all work is the GPU's: threads that spin while they wait for some would slow a software adapter down
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: 3, // errors
      extra: { session: { disable_cpu_ep_fallback: "1" } },
    });
  }
}

/** A model that is run again and again on the same inputs. */
export class PeerSession implements AsyncDisposable {
  readonly results: readonly Result[];
  readonly #runtime: OnnxRuntime;
  readonly #session: Ort.InferenceSession;
  readonly #inputs: Readonly<Record<string, Ort.Tensor>>;
  readonly #targets: Readonly<Record<string, Ort.Tensor | null>>;
  #outputs: Ort.InferenceSession.ReturnType = {};

  constructor(
    runtime: OnnxRuntime,
    results: readonly Result[],
    session: Ort.InferenceSession,
    inputs: Readonly<Record<string, Ort.Tensor>>,
  ) {
    this.results = results;
    this.#runtime = runtime;
    this.#session = session;
    this.#inputs = inputs;
    this.#targets = Object.fromEntries(
      results.map(({ name, inPlaceOf }) => [name, inPlaceOf ? (inputs[inPlaceOf] ?? null) : null]),
    );
  }

  /** Submits so many runs; `wait` tells when they are done. */
  async run(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) {
      const before = this.#outputs;
      this.#outputs = await this.#session.run(this.#inputs, this.#targets);
      for (const { name, inPlaceOf } of this.results)
        if (!inPlaceOf) (before[name] as Ort.Tensor | undefined)?.dispose();
    }
  }

  async wait(): Promise<void> {
    const last = this.results.at(-1);
    if (last) await this.#runtime.wait(last.type, tensorNamed(last.name, this.#outputs));
  }

  /** An output of the last run, on the host. */
  async read({ name, type }: Result): Promise<Ort.Tensor.DataType> {
    return await this.#runtime.download(type, tensorNamed(name, this.#outputs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const held = new Set([...Object.values(this.#outputs), ...Object.values(this.#inputs)]);
    for (const value of held) (value as Ort.Tensor).dispose();
    await this.#session.release();
  }
}

function tensorNamed(name: string, values: Ort.InferenceSession.ReturnType): Ort.Tensor {
  const value = values[name];
  if (!value) throw new Error(`ONNX Runtime gave no ${name}`);
  return value as Ort.Tensor;
}
