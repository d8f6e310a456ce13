import type { Device } from "./device.ts";
import { KernelError, RuntimeError, ShapeError } from "./errors.ts";
import type { Dispatch } from "./kernel.ts";
import { chooseVariant, type InputSpecs, type Op, type Tensors, type Variant } from "./op.ts";
import { buildProgram, type Constant, type Program } from "./program.ts";
import { bound, PlannedStorage, type Step } from "./step.ts";
import { byteLength, formatSpec, Tensor, type TensorSpec } from "./tensor.ts";
import type { TunableCall } from "./tuning.ts";

export interface RecordOptions {
  /** Give every intermediate memory of its own, so that `program.dump()` can read them all. */
  readonly keepAll?: boolean;
}

export interface CallOptions {
  /** Run this kernel variant rather than the preferred one. */
  readonly variant?: string;
  readonly label?: string;
}

/** Records op calls into a command list; `finish` makes the Program that owns every tensor recorded here. */
export class Recorder {
  readonly device: Device;
  readonly name: string;
  readonly keepAll: boolean;
  readonly #steps: Step[] = [];
  readonly #planned: PlannedStorage[] = [];
  readonly #pinned = new Set<PlannedStorage>();
  readonly #constants: Constant[] = [];
  #finished = false;

  constructor(device: Device, name: string, options: RecordOptions = {}) {
    this.device = device;
    this.name = name;
    this.keepAll = options.keepAll ?? false;
  }

  /** Records one op. Returns its outputs, which have no data before the program has run. */
  call<I, P>(op: Op<I, P>, inputs: Tensors<I>, params: P, options: CallOptions = {}): Tensor[] {
    if (this.#finished)
      throw new RuntimeError("FINISHED", `${this.name}: recorded ${op.name} after finish()`);
    const present: Tensor[] = [];
    for (const [name, tensor] of Object.entries(inputs as Record<string, Tensor | undefined>)) {
      if (!tensor) continue;
      this.#checkInput(op.name, name, tensor);
      present.push(tensor);
    }
    const specs = inputs as unknown as I & InputSpecs;
    const outputSpecs = op.infer(specs, params);
    const variant = this.variantOf(op, specs, params, options.variant);
    const weight = present.find((t) => !(t.storage instanceof PlannedStorage) && t.label)?.label;
    const label = options.label ?? (weight ? `${op.name}(${weight})` : op.name);
    const outputs = outputSpecs.map((spec) => this.#plan({ ...spec, label: spec.label ?? label }));
    const scratch: Tensor[] = [];
    const dispatches = variant.build({
      inputs,
      outputs,
      params,
      caps: this.device.caps,
      scratch: (spec) => {
        const tensor = this.#plan({ ...spec, label: `${label} scratch` });
        scratch.push(tensor);
        return tensor;
      },
    });
    for (const d of dispatches) this.#checkDispatch(op.name, d);
    const step = { op: op.name, variant: variant.name, label, inputs: present, outputs, scratch, dispatches };
    this.#steps.push({ ...step, cost: op.cost(specs, outputSpecs, params) });
    return outputs;
  }

  /** The variant that a call would run: `wanted`, or what tuning has found, or the op's own choice. */
  variantOf<I, P>(op: Op<I, P>, inputs: I, params: P, wanted?: string): Variant<I, P> {
    const { caps, tuning } = this.device;
    const call = { op, inputs, params } as unknown as TunableCall;
    return chooseVariant(op, inputs, params, caps, wanted ?? tuning.variantFor(call, caps));
  }

  /** `call` for ops with one output. */
  call1<I, P>(op: Op<I, P>, inputs: Tensors<I>, params: P, options?: CallOptions): Tensor {
    const [output] = this.call(op, inputs, params, options);
    if (!output) throw new RuntimeError("OP", `${op.name} has no output`);
    return output;
  }

  /** Keeps `tensor` readable after each run; outputs given to `finish` are kept anyway. Returns it. */
  keep(tensor: Tensor): Tensor {
    if (tensor.storage instanceof PlannedStorage) {
      if (tensor.storage.recording !== this)
        throw new RuntimeError("OWNER", `${tensor} is of another recording`);
      this.#pinned.add(tensor.storage);
    }
    return tensor;
  }

  /** A tensor with fixed data (raw elements, as for `device.tensor`) that the program will own. */
  constant(spec: TensorSpec, data: ArrayBufferView): Tensor {
    const tensor = this.keep(this.#plan(spec));
    this.#constants.push({ tensor, data });
    return tensor;
  }

  /** Compiles the pipelines, plans and allocates the memory, builds the bind groups. The recorder is spent after it. */
  async finish(options: { outputs?: readonly Tensor[] } = {}): Promise<Program> {
    if (this.#finished) throw new RuntimeError("FINISHED", `${this.name}: finish() was called twice`);
    for (const t of options.outputs ?? []) this.keep(t);
    this.#finished = true;
    const pinned = this.keepAll ? this.#planned : [...this.#pinned];
    return buildProgram(this.device, {
      name: this.name,
      steps: this.#steps,
      planned: this.#planned,
      pinned: new Set(pinned),
      constants: this.#constants,
    });
  }

  #plan(spec: TensorSpec): Tensor {
    const storage = new PlannedStorage(
      this.device,
      this,
      this.#planned.length,
      byteLength(spec),
      spec.label ?? this.name,
    );
    this.#planned.push(storage);
    return new Tensor(spec, storage);
  }

  #checkInput(op: string, name: string, tensor: Tensor): void {
    const { storage } = tensor;
    if (storage instanceof PlannedStorage && storage.state === "planned") {
      if (storage.recording !== this) {
        throw new RuntimeError(
          "OWNER",
          `${op}: input ${name} (${tensor}) belongs to another, unfinished program`,
        );
      }
      return;
    }
    tensor.buffer();
    this.device.checkOwns(tensor);
  }

  #checkDispatch(op: string, d: Dispatch): void {
    const { limits } = this.device.caps;
    const where = `${op}: kernel ${d.kernel.name}`;
    if (
      d.workgroups.some((n) => !Number.isInteger(n) || n < 1 || n > limits.maxComputeWorkgroupsPerDimension)
    ) {
      throw new KernelError(
        `${where}: ${d.workgroups.join("x")} workgroups; at most ${limits.maxComputeWorkgroupsPerDimension} a dimension`,
      );
    }
    if (d.kernel.bindings.length > limits.maxStorageBuffersPerShaderStage) {
      throw new KernelError(
        `${where} binds ${d.kernel.bindings.length} buffers; the device allows ${limits.maxStorageBuffersPerShaderStage}`,
      );
    }
    const written = new Set(
      d.kernel.bindings.filter((b) => b.access !== "read").map((b) => bound(d, b.name).tensor.storage),
    );
    for (const b of d.kernel.bindings) {
      const { tensor, offset, bytes } = bound(d, b.name);
      if (bytes > limits.maxStorageBufferBindingSize) {
        throw new KernelError(
          `${where} binds ${bytes} bytes of ${formatSpec(tensor)} at once; the device allows ${limits.maxStorageBufferBindingSize} a binding, and this op has no windows for it`,
        );
      }
      if (offset % limits.minStorageBufferOffsetAlignment !== 0 || offset + bytes > tensor.storage.bytes) {
        throw new ShapeError(
          `${where}: window ${offset}+${bytes} bytes of ${formatSpec(tensor)} is misaligned or outside`,
        );
      }
      if (b.access === "read" && written.has(tensor.storage)) {
        throw new RuntimeError("ALIAS", `${where} reads and writes ${formatSpec(tensor)} in one dispatch`);
      }
    }
  }
}
