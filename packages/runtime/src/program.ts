import { bufferSize } from "./buffers.ts";
import type { Device, HostArray } from "./device.ts";
import { DisposedError, RuntimeError } from "./errors.ts";
import { packUniforms } from "./kernel.ts";
import type { Cost } from "./op.ts";
import { planMemory } from "./planner.ts";
import { TimedRun } from "./profiler.ts";
import { bound, PlannedStorage, type Step } from "./step.ts";
import { formatShape, formatSpec, type Tensor } from "./tensor.ts";

interface Command {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
  readonly step: number;
}

/** GPU time of one recorded op. */
export interface StepProfile {
  readonly op: string;
  readonly variant: string;
  readonly label: string;
  readonly milliseconds: number;
  readonly dispatches: number;
  readonly cost: Cost;
}

const usage = {
  storage: 0x80 | 0x04 | 0x08,
  uniform: 0x40 | 0x08,
  read: 0x01 | 0x08,
} as const;

/**
 * A command list made runnable: it owns its intermediates and outputs, its pipelines and bind groups are made once, and
 * a run is one encoder, one pass, one submit.
 */
export class Program implements Disposable {
  readonly device: Device;
  readonly name: string;
  readonly steps: readonly Step[];
  /** Bytes of GPU memory held: intermediates, outputs and uniforms. */
  readonly bytes: number;
  readonly #commands: readonly Command[];
  readonly #buffers: GPUBuffer[];
  readonly #planned: readonly PlannedStorage[];
  readonly #staging = new Map<number, GPUBuffer[]>();
  /** One tensor for each memory that the program reads but does not own. */
  readonly #borrowed: readonly Tensor[];
  #verified = false;
  #taken = false;
  #disposed = false;

  constructor(init: {
    device: Device;
    name: string;
    steps: readonly Step[];
    commands: readonly Command[];
    buffers: GPUBuffer[];
    planned: readonly PlannedStorage[];
  }) {
    this.device = init.device;
    this.name = init.name;
    this.steps = init.steps;
    this.#commands = init.commands;
    this.#buffers = init.buffers;
    this.#planned = init.planned;
    const own = new Set<unknown>(init.planned);
    const borrowed = new Map(init.steps.flatMap((s) => s.inputs.map((t) => [t.storage, t] as const)));
    this.#borrowed = [...borrowed.values()].filter(({ storage }) => !own.has(storage));
    this.bytes = init.buffers.reduce((sum, b) => sum + b.size, 0);
  }

  get dispatches(): number {
    return this.#commands.length;
  }

  /** Encodes and submits. Errors of the GPU reach the caller at the next await on the device. */
  run(): void {
    const { encoder, timed } = this.#encode();
    this.#submit(encoder, timed);
  }

  /** Runs, and reads `tensors` in the same submission: one submit, one copy, no buffer created after the first time. */
  async runAndRead(tensors: readonly Tensor[]): Promise<HostArray[]> {
    const { encoder, timed } = this.#encode();
    const total = tensors.reduce((sum, t) => sum + t.storage.bytes, 0);
    const staging = this.#takeStaging(total);
    let offset = 0;
    for (const t of tensors) {
      encoder.copyBufferToBuffer(t.buffer(), 0, staging, offset, t.storage.bytes);
      offset += t.storage.bytes;
    }
    this.#submit(encoder, timed);
    try {
      const bytes = await this.device.readStaging(staging, total);
      let start = 0;
      return tensors.map((t) => {
        const part = bytes.slice(start, start + t.storage.bytes);
        start += t.storage.bytes;
        return this.device.decode(t, part);
      });
    } finally {
      this.#returnStaging(total, staging);
    }
  }

  /** Reads an output or a kept tensor after a run. */
  read(tensor: Tensor): Promise<HostArray> {
    return this.device.read(tensor);
  }

  /**
   * Makes the caller the owner of an output: it outlives the program, and the caller disposes it. The program can not run
   * after that.
   */
  take(tensor: Tensor): Tensor {
    const { storage } = tensor;
    if (!(storage instanceof PlannedStorage) || storage.owner !== this || !storage.buffer) {
      throw new RuntimeError("OWNER", `${this.name}: ${formatSpec(tensor)} is not an output of this program`);
    }
    const buffer = storage.buffer;
    const at = this.#buffers.indexOf(buffer);
    if (at < 0) throw new RuntimeError("OWNER", `${this.name}: ${formatSpec(tensor)} was taken before`);
    this.#buffers.splice(at, 1);
    storage.owner = undefined;
    storage.onRelease = () => this.device.buffers.release(buffer);
    this.#taken = true;
    return tensor;
  }

  /** Every tensor that was recorded with `keepAll`, read back, in order, by step and label. */
  async dump(): Promise<{ step: number; tensor: Tensor; data: HostArray }[]> {
    const all = [];
    for (const [step, { outputs }] of this.steps.entries()) {
      for (const tensor of outputs) {
        if (tensor.storage.state === "live") all.push({ step, tensor, data: await this.device.read(tensor) });
      }
    }
    return all;
  }

  /** Runs once and gives the GPU's milliseconds from its first op to its last. Needs `caps.timestamps`. */
  async time(): Promise<number> {
    if (!this.device.caps.timestamps)
      throw new RuntimeError("CAPABILITY", "time: the device has no timestamps");
    this.#checkRunnable();
    const encoder = this.device.gpuDevice.createCommandEncoder({ label: `${this.name} timed` });
    const timed = new TimedRun(this.device, this.name, encoder, 1, (pass) => {
      for (const c of this.#commands) issue(pass, c);
    });
    this.#submit(encoder);
    const [milliseconds = 0] = await timed.collect();
    return milliseconds;
  }

  /** Runs once with a timestamped pass for each op. Needs `caps.timestamps`. */
  async profile(): Promise<StepProfile[]> {
    if (!this.device.caps.timestamps)
      throw new RuntimeError("CAPABILITY", "profile: the device has no timestamps");
    this.#checkRunnable();
    const encoder = this.device.gpuDevice.createCommandEncoder({ label: `${this.name} profile` });
    const timed = this.#encodeTimed(encoder);
    this.#submit(encoder);
    const times = await timed.collect();
    return this.steps.map((s, i) => ({
      op: s.op,
      variant: s.variant,
      label: s.label,
      milliseconds: times[i] ?? 0,
      dispatches: s.dispatches.length,
      cost: s.cost,
    }));
  }

  /** The program as text: a line an op. */
  toString(): string {
    const lines = this.steps.map((s, i) => {
      const ins = s.inputs.map((t) => formatShape(t.shape)).join(" ");
      const outs = s.outputs.map((t) => formatShape(t.shape)).join(" ");
      const groups = s.dispatches.map((d) => d.workgroups.join("x")).join(" + ");
      return `${String(i).padStart(4)}  ${s.op}/${s.variant}  ${ins} -> ${outs}  <${groups}>  ${s.label}`;
    });
    return [
      `program ${this.name}: ${this.steps.length} ops, ${this.#commands.length} dispatches, ${this.bytes} bytes`,
      ...lines,
    ].join("\n");
  }

  /** Releases everything the program owns; tensors that were taken stay with their taker. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const storage of this.#planned) if (storage.owner === this) storage.release();
    for (const buffer of this.#buffers) this.device.buffers.release(buffer);
    for (const list of this.#staging.values()) for (const buffer of list) this.device.buffers.release(buffer);
    this.#staging.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkRunnable(): void {
    if (this.#disposed) throw new DisposedError(`program ${this.name} was run after dispose()`);
    if (this.#taken)
      throw new RuntimeError("OWNER", `program ${this.name} was run after an output was taken from it`);
    this.device.check();
    // a released input's buffer may serve another tensor by now
    for (const t of this.#borrowed) t.buffer();
  }

  #encode(): { encoder: GPUCommandEncoder; timed?: TimedRun } {
    this.#checkRunnable();
    const encoder = this.device.gpuDevice.createCommandEncoder({ label: this.name });
    if (this.device.profiler) return { encoder, timed: this.#encodeTimed(encoder) };
    const pass = encoder.beginComputePass({ label: this.name });
    let pipeline: GPUComputePipeline | undefined;
    for (const c of this.#commands) {
      if (c.pipeline !== pipeline) pass.setPipeline(c.pipeline);
      pipeline = c.pipeline;
      pass.setBindGroup(0, c.bindGroup);
      pass.dispatchWorkgroups(...c.workgroups);
    }
    pass.end();
    return { encoder };
  }

  /** A timestamped pass for each step. */
  #encodeTimed(encoder: GPUCommandEncoder): TimedRun {
    const commands: Command[][] = this.steps.map(() => []);
    for (const c of this.#commands) commands[c.step]?.push(c);
    return new TimedRun(this.device, this.name, encoder, this.steps.length, (pass, step) => {
      for (const c of commands[step] ?? []) issue(pass, c);
    });
  }

  #submit(encoder: GPUCommandEncoder, timed?: TimedRun): void {
    // the first run is checked by a scope of its own; replays encode the very same commands
    if (!this.#verified) this.device.watch(`program ${this.name}`, () => this.device.submit(encoder));
    else this.device.submit(encoder);
    this.#verified = true;
    if (timed) this.device.profiler?.add(this.name, this.steps, timed);
  }

  #takeStaging(bytes: number): GPUBuffer {
    return (
      this.#staging.get(bytes)?.pop() ??
      this.device.buffers.allocate(bytes, usage.read, `${this.name} readback`)
    );
  }

  #returnStaging(bytes: number, buffer: GPUBuffer): void {
    if (this.#disposed) {
      this.device.buffers.release(buffer);
      return;
    }
    const list = this.#staging.get(bytes);
    if (list) list.push(buffer);
    else this.#staging.set(bytes, [buffer]);
  }
}

function issue(pass: GPUComputePassEncoder, c: Command): void {
  pass.setPipeline(c.pipeline);
  pass.setBindGroup(0, c.bindGroup);
  pass.dispatchWorkgroups(...c.workgroups);
}

/** A tensor of a recording whose data is known beforehand. */
export interface Constant {
  readonly tensor: Tensor;
  readonly data: ArrayBufferView;
}

/** What a Recorder hands over. */
export interface Recording {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly planned: readonly PlannedStorage[];
  readonly pinned: ReadonlySet<PlannedStorage>;
  readonly constants: readonly Constant[];
}

export async function buildProgram(device: Device, recording: Recording): Promise<Program> {
  const { name, steps, planned, pinned, constants } = recording;
  device.check();
  const dispatches = steps.flatMap((s, step) => s.dispatches.map((d) => ({ d, step })));
  const compiled = await device.guard(Promise.all(dispatches.map(({ d }) => device.pipelines.get(d.kernel))));

  const indices = (tensors: readonly Tensor[]) =>
    tensors.flatMap(({ storage }) =>
      storage instanceof PlannedStorage && storage.state === "planned" ? [storage.index] : [],
    );
  const plan = planMemory(
    planned.map((p) => p.bytes),
    steps.map((s) => ({ reads: indices(s.inputs), writes: indices([...s.outputs, ...s.scratch]) })),
    new Set([...pinned].map((p) => p.index)),
  );
  const buffers: GPUBuffer[] = [];
  try {
    device.buffers.require(
      plan.slotBytes.reduce((sum, bytes) => sum + bufferSize(bytes), 0),
      `program ${name} (${plan.slotBytes.length} intermediates)`,
    );
    for (const bytes of plan.slotBytes)
      buffers.push(device.buffers.allocate(bytes, usage.storage, `${name} intermediate`));
    const { buffer: uniformBuffer, offsets } = packAllUniforms(
      device,
      name,
      dispatches.map(({ d }) => packUniforms(d)),
    );
    if (uniformBuffer) buffers.push(uniformBuffer);

    for (const p of planned) {
      p.buffer = buffers[plan.slotOf[p.index] as number];
      p.state = p.buffer ? "live" : "released";
    }
    for (const { tensor, data } of constants) device.write(tensor, data);
    const commands = device.watch(`program ${name}`, () =>
      dispatches.map(({ d, step }, i): Command => {
        const { pipeline, layout } = compiled[i] as (typeof compiled)[number];
        const entries: GPUBindGroupEntry[] = d.kernel.bindings.map((b, binding) => {
          const { tensor, offset, bytes } = bound(d, b.name);
          return { binding, resource: { buffer: tensor.buffer(), offset, size: bytes } };
        });
        if (uniformBuffer && d.kernel.uniforms.length) {
          const size = Math.ceil((d.kernel.uniforms.length * 4) / 16) * 16;
          entries.push({
            binding: entries.length,
            resource: { buffer: uniformBuffer, offset: offsets[i] as number, size },
          });
        }
        const bindGroup = device.gpuDevice.createBindGroup({ label: d.kernel.name, layout, entries });
        return { pipeline, bindGroup, workgroups: d.workgroups, step };
      }),
    );
    const program = new Program({ device, name, steps, commands, buffers, planned });
    for (const p of planned) p.owner = program;
    return program;
  } catch (error) {
    for (const p of planned) p.release();
    for (const buffer of buffers) device.buffers.release(buffer);
    throw error;
  }
}

/** One buffer with every dispatch's uniforms; equal ones share a place. */
function packAllUniforms(device: Device, name: string, packed: readonly ArrayBuffer[]) {
  const align = device.caps.limits.minUniformBufferOffsetAlignment;
  const places = new Map<string, number>();
  const chunks: { offset: number; bytes: Uint8Array<ArrayBuffer> }[] = [];
  let end = 0;
  const offsets = packed.map((data) => {
    const bytes = new Uint8Array(data);
    const key = bytes.join(",");
    const known = places.get(key);
    if (known !== undefined || bytes.length === 0) return known ?? 0;
    const offset = Math.ceil(end / align) * align;
    places.set(key, offset);
    chunks.push({ offset, bytes });
    end = offset + bytes.length;
    return offset;
  });
  if (end === 0) return { buffer: undefined, offsets };
  const all = new Uint8Array(end);
  for (const { offset, bytes } of chunks) all.set(bytes, offset);
  const buffer = device.buffers.allocate(end, usage.uniform, `${name} uniforms`);
  device.gpuDevice.queue.writeBuffer(buffer, 0, all);
  return { buffer, offsets };
}
