import { KernelError } from "./errors.ts";
import type { Dispatch } from "./kernel.ts";
import type { Cost } from "./op.ts";
import { bytesPerElement, type Storage, Tensor } from "./tensor.ts";

/** Memory that a Program will own: it has no buffer until the program is built. `recording` is its Recorder. */
export class PlannedStorage implements Storage {
  readonly bytes: number;
  readonly label: string;
  readonly index: number;
  readonly device: object;
  readonly recording: object;
  buffer: GPUBuffer | undefined;
  state: "planned" | "live" | "released" = "planned";
  owner: object | undefined;
  /** What dispose() of the tensor does once it was taken from its program. */
  onRelease: (() => void) | undefined;

  constructor(device: object, recording: object, index: number, bytes: number, label: string) {
    this.device = device;
    this.recording = recording;
    this.owner = recording;
    this.index = index;
    this.bytes = bytes;
    this.label = label;
  }

  release(): void {
    if (this.state === "released") return;
    this.state = "released";
    this.onRelease?.();
    this.buffer = undefined;
  }
}

/** One recorded op call. */
export interface Step {
  readonly op: string;
  readonly variant: string;
  readonly label: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly scratch: readonly Tensor[];
  readonly dispatches: readonly Dispatch[];
  readonly cost: Cost;
}

/** The byte range that a dispatch binds under a name. */
export function bound(d: Dispatch, name: string): { tensor: Tensor; offset: number; bytes: number } {
  const target = d.tensors[name];
  if (!target) throw new KernelError(`kernel ${d.kernel.name}: nothing bound to ${name}`);
  if (target instanceof Tensor) return { tensor: target, offset: 0, bytes: target.storage.bytes };
  const { tensor } = target;
  const size = "start" in target ? bytesPerElement(tensor.dtype) : 1;
  const [start, length] = "start" in target ? [target.start, target.length] : [target.offset, target.bytes];
  const offset = start * size;
  // kernels may see the window as whole vec4s: round up, but never past the storage (which is padded to 16 bytes)
  const bytes = Math.min(Math.ceil((length * size) / 16) * 16, tensor.storage.bytes - offset);
  return { tensor, offset, bytes };
}
