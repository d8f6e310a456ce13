import { BufferPool, type MemoryUse } from "./buffers.ts";
import {
  type AdapterDescription,
  type Capabilities,
  type DeviceLimits,
  limitNames,
  type SubgroupMatrixConfig,
} from "./capabilities.ts";
import {
  AdapterError,
  DeviceError,
  DeviceLostError,
  DTypeError,
  OutOfMemoryError,
  RuntimeError,
  ShapeError,
} from "./errors.ts";
import { decodeFloat16 } from "./float16.ts";
import { PipelineCache } from "./pipelines.ts";
import type { Profiler } from "./profiler.ts";
import { isQuantized } from "./quantized.ts";
import { dequantizeHost } from "./quantized-host.ts";
import { Recorder, type RecordOptions } from "./recorder.ts";
import { PlannedStorage } from "./step.ts";
import { byteLength, formatSpec, type Storage, Tensor, type TensorSpec } from "./tensor.ts";
import { Tuning } from "./tuning.ts";

/** What a readback gives: f16 and quantised weights are widened to f32. */
export type HostArray = Float32Array | Int32Array | Uint32Array;

export interface DeviceOptions {
  /** Bytes of GPU memory that may be allocated; default: no bound but the device's own. */
  readonly memoryBudget?: number;
  /** Limits to pretend to, at most the adapter's own: for testing windows on small tensors. */
  readonly limits?: Partial<DeviceLimits>;
  /** Features to leave unused, e.g. `["shader-f16", "subgroups"]`: for testing what other adapters run. */
  readonly disableFeatures?: readonly string[];
  readonly label?: string;
}

/**
 * What products of networks' linear layers are made of: `f32`, the default, or `reduced`: inputs of several positions (a
 * prompt's or a picture's, not a token that is decoded) are rounded to what the weights are, f16 beside f16 and q8_0 beside
 * quantised ones, for GPUs that multiply those faster. How much is computed side by side does not decide. A batch runs what
 * prompts share and their endings apart, though: a share of one token stays f32, and a prompt of one token is rounded with
 * what pads it, so that such an answer differs by rounding from the one that its prompt gets alone.
 */
export const networkArithmetics = ["f32", "reduced"] as const;
export type NetworkArithmetic = (typeof networkArithmetics)[number];

const optionalFeatures = [
  "shader-f16",
  "subgroups",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
];
const storageUsage = 0x80 | 0x04 | 0x08; // STORAGE | COPY_SRC | COPY_DST
const readUsage = 0x01 | 0x08; // MAP_READ | COPY_DST

/** Opens a device on `adapter` (which it consumes) with all the limits and features that kernels can use. */
export async function openDevice(
  gpu: GPU,
  adapter: GPUAdapter,
  options: DeviceOptions = {},
): Promise<Device> {
  const limits = Object.fromEntries(
    limitNames.map((name) => [name, adapter.limits[name]]),
  ) as unknown as DeviceLimits;
  const lowered = { ...limits, ...options.limits };
  const off = new Set(options.disableFeatures ?? []);
  const features = optionalFeatures.filter((f) => adapter.features.has(f as GPUFeatureName) && !off.has(f));
  const { info } = adapter;
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({
      label: options.label ?? "mask-llava",
      requiredFeatures: features as GPUFeatureName[],
      requiredLimits: { ...limits } as unknown as Record<string, number>,
    });
  } catch (error) {
    throw new AdapterError(
      `the adapter ${info.description || info.device} gave no device: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
  const has = (name: string) => features.includes(name);
  const caps: Capabilities = {
    f16: has("shader-f16"),
    subgroups: has("subgroups"),
    subgroupSize:
      has("subgroups") && info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : 0,
    subgroupMatrix: has("chromium-experimental-subgroup-matrix") ? subgroupMatrixConfigs(info) : [],
    packedDot:
      gpu.wgslLanguageFeatures.has("packed_4x8_integer_dot_product") &&
      !off.has("packed_4x8_integer_dot_product"),
    timestamps: has("timestamp-query"),
    limits: lowered,
  };
  const description: AdapterDescription = {
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    software: info.isFallbackAdapter || info.architecture === "software",
  };
  return new Device(gpu, device, description, caps, options.memoryBudget ?? Number.POSITIVE_INFINITY);
}

/** Dawn's description of them, which is not in WebGPU's types and whose fields are getters. */
function subgroupMatrixConfigs(info: GPUAdapterInfo): SubgroupMatrixConfig[] {
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig> };
  return [...subgroupMatrixConfigs].map(({ componentType, resultComponentType, M, N, K }) => ({
    componentType,
    resultComponentType,
    M,
    N,
    K,
  }));
}

/**
 * A GPU device with its memory pool and pipelines. Errors are sticky: what the GPU reports reaches the caller of the
 * next await (or the next run) as a typed error, and a lost device stays lost.
 */
export class Device implements Disposable {
  /** Kept, as the native device crashes when the instance it came from is collected. */
  readonly gpu: GPU;
  readonly gpuDevice: GPUDevice;
  readonly info: AdapterDescription;
  readonly caps: Capabilities;
  readonly buffers: BufferPool;
  readonly pipelines: PipelineCache;
  /** While set, runs of programs carry timestamps and are counted by it. */
  profiler: Profiler | undefined;
  /** Which kernel variants recordings take where not the usual ones. */
  tuning = new Tuning();
  /** What networks record from now on. Programs that they have recorded and kept stay what they are. */
  arithmetic: NetworkArithmetic = "f32";
  readonly #storages = new WeakSet<Storage>();
  readonly #lost: Promise<never>;
  #failure: RuntimeError | undefined;
  #disposed = false;

  constructor(
    gpu: GPU,
    device: GPUDevice,
    info: AdapterDescription,
    caps: Capabilities,
    memoryBudget: number,
  ) {
    this.gpu = gpu;
    this.gpuDevice = device;
    this.info = info;
    this.caps = caps;
    this.buffers = new BufferPool(device, memoryBudget, caps.limits.maxBufferSize);
    this.pipelines = new PipelineCache(device);
    this.#lost = device.lost.then(({ reason, message }) => {
      const error = new DeviceLostError(reason, message);
      // loss outranks what may have been reported on the way down
      if (!(this.#failure instanceof DeviceLostError)) this.#failure = error;
      throw error;
    });
    this.#lost.catch(() => {});
    device.addEventListener("uncapturederror", (event) =>
      this.#fail((event as GPUUncapturedErrorEvent).error, ""),
    );
  }

  /** Throws what went wrong on this device so far, if anything did. */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Awaits `work`, but fails at once when the device is lost, and with the GPU's own error where there is one. */
  async guard<T>(work: Promise<T>): Promise<T> {
    try {
      const result = await Promise.race([work, this.#lost]);
      this.check();
      return result;
    } catch (error) {
      // a map or compile that was aborted by the loss is the loss: let its event arrive first
      await new Promise((resolve) => setTimeout(resolve, 0));
      this.check();
      throw error;
    }
  }

  /** Runs `work` inside error scopes; what they catch becomes the device's failure, with `what` in the message. */
  watch<T>(what: string, work: () => T): T {
    const device = this.gpuDevice;
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("internal");
    try {
      return work();
    } finally {
      for (let i = 0; i < 3; i++) {
        device.popErrorScope().then(
          (error) => error && this.#fail(error, what),
          () => {}, // the scope was lost with the device, which reports itself
        );
      }
    }
  }

  /** Waits until everything submitted is done, and throws what went wrong. */
  async idle(): Promise<void> {
    this.check();
    await this.guard(this.gpuDevice.queue.onSubmittedWorkDone().then(() => undefined));
  }

  submit(encoder: GPUCommandEncoder): void {
    this.gpuDevice.queue.submit([encoder.finish()]);
  }

  /** A tensor that the caller owns, with `data` (raw little-endian elements; f16 as Uint16Array of bits) if given. */
  tensor(spec: TensorSpec, data?: ArrayBufferView): Tensor {
    this.check();
    const label = spec.label ?? "tensor";
    const buffer = this.buffers.allocate(byteLength(spec), storageUsage, label);
    const tensor = new Tensor(
      { ...spec, label },
      new OwnedStorage(this.buffers, buffer, byteLength(spec), label),
    );
    this.#storages.add(tensor.storage);
    if (data) this.write(tensor, data);
    return tensor;
  }

  /** Writes raw elements at a byte offset (a multiple of 4). An odd tail of f16 is padded within the tensor. */
  write(tensor: Tensor, data: ArrayBufferView, byteOffset = 0): void {
    this.check();
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    const expected = byteLength(tensor);
    if (byteOffset % 4 !== 0 || byteOffset + bytes.length > expected) {
      throw new ShapeError(
        `write: ${bytes.length} bytes at ${byteOffset} do not fit ${formatSpec(tensor)} of ${expected} bytes`,
      );
    }
    const whole = bytes.length & ~3;
    const { queue } = this.gpuDevice;
    if (whole) queue.writeBuffer(tensor.buffer(), byteOffset, bytes, 0, whole);
    if (whole < bytes.length) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      queue.writeBuffer(tensor.buffer(), byteOffset + whole, tail);
    }
  }

  /** Reads a whole tensor; f16 and quantised weights are widened to f32. */
  async read(tensor: Tensor): Promise<HostArray> {
    this.check();
    const bytes = tensor.storage.bytes;
    const staging = this.buffers.allocate(bytes, readUsage, `readback of ${tensor.label}`);
    try {
      const encoder = this.gpuDevice.createCommandEncoder({ label: `readback of ${tensor.label}` });
      encoder.copyBufferToBuffer(tensor.buffer(), 0, staging, 0, bytes);
      this.submit(encoder);
      return this.decode(tensor, await this.readStaging(staging, bytes));
    } finally {
      this.buffers.release(staging);
    }
  }

  /** Maps a staging buffer, copies its first `bytes`, and unmaps it. */
  async readStaging(staging: GPUBuffer, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    await this.guard(staging.mapAsync(1, 0, bytes));
    const copy = new Uint8Array(staging.getMappedRange(0, bytes).slice(0));
    staging.unmap();
    return copy;
  }

  /** Raw bytes of a tensor as numbers. `bytes` must start at the start of its ArrayBuffer. */
  decode(spec: TensorSpec, bytes: Uint8Array<ArrayBuffer>): HostArray {
    if (isQuantized(spec.dtype)) return dequantizeHost(bytes, spec.shape, spec.dtype);
    const n = spec.shape.reduce((a, b) => a * b, 1);
    switch (spec.dtype) {
      case "f32":
        return new Float32Array(bytes.buffer, 0, n);
      case "i32":
        return new Int32Array(bytes.buffer, 0, n);
      case "u32":
        return new Uint32Array(bytes.buffer, 0, n);
      case "f16":
        return decodeFloat16(new Uint16Array(bytes.buffer, 0, n));
      default:
        throw new DTypeError(`cannot read ${formatSpec(spec)}`);
    }
  }

  record(name: string, options?: RecordOptions): Recorder {
    this.check();
    return new Recorder(this, name, options);
  }

  /** Throws unless the tensor's memory is this device's. */
  checkOwns(tensor: Tensor): void {
    const { storage } = tensor;
    const own = storage instanceof PlannedStorage ? storage.device === this : this.#storages.has(storage);
    if (!own) throw new RuntimeError("OWNER", `${formatSpec(tensor)} lives on another device`);
  }

  memory(): MemoryUse {
    return this.buffers.use();
  }

  /** Destroys the device. Everything on it is gone; later use throws DeviceLostError. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#failure ??= new DeviceLostError("destroyed", "the device was disposed");
    this.buffers.trim();
    this.gpuDevice.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #fail(error: GPUError, what: string): void {
    if (this.#failure) return;
    const where = what ? `${what}: ` : "";
    if (error.constructor.name === "GPUOutOfMemoryError") {
      const { live, budget } = this.buffers.use();
      this.#failure = new OutOfMemoryError(`${where}${error.message}`, 0, live, budget);
    } else {
      this.#failure = new DeviceError(`${where}${error.message}`);
    }
  }
}

class OwnedStorage implements Storage {
  readonly bytes: number;
  readonly label: string;
  readonly owner = undefined;
  readonly #pool: BufferPool;
  buffer: GPUBuffer | undefined;

  constructor(pool: BufferPool, buffer: GPUBuffer, bytes: number, label: string) {
    this.#pool = pool;
    this.buffer = buffer;
    this.bytes = bytes;
    this.label = label;
  }

  get state(): "live" | "released" {
    return this.buffer ? "live" : "released";
  }

  release(): void {
    if (this.buffer) this.#pool.release(this.buffer);
    this.buffer = undefined;
  }
}
