import { OutOfMemoryError } from "./errors.ts";

/** Byte counts of a device's GPU memory. */
export interface MemoryUse {
  /** Handed out now. */
  readonly live: number;
  /** Kept for reuse; released before an allocation would exceed the budget. */
  readonly cached: number;
  /** The largest `live + cached` so far. */
  readonly peak: number;
  readonly budget: number;
  readonly buffers: number;
}

const smallest = 256;
/** Buffers larger than this are not kept for reuse: weights come and go once, and an idle GiB helps nobody. */
const largestCached = 64 * 2 ** 20;

/** Rounds up so that at most an eighth is wasted and sizes recur: eight classes an octave. */
export function sizeClass(bytes: number): number {
  if (bytes <= smallest) return smallest;
  const step = Math.max(smallest, 2 ** (Math.floor(Math.log2(bytes)) - 3));
  return Math.ceil(bytes / step) * step;
}

/** Bytes that a buffer for `bytes` takes. */
export function bufferSize(bytes: number): number {
  return bytes <= largestCached ? sizeClass(bytes) : Math.ceil(bytes / smallest) * smallest;
}

/**
 * Owns every GPU buffer of a device: size classes with a free list, a list of what is live (and for whom), and a budget
 * that is checked before the driver is asked, since drivers grant more than there is.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #free = new Map<string, GPUBuffer[]>();
  readonly #live = new Map<GPUBuffer, { bytes: number; label: string; key: string }>();
  readonly #maxBufferSize: number;
  readonly budget: number;
  #liveBytes = 0;
  #cachedBytes = 0;
  #peak = 0;

  constructor(device: GPUDevice, budget: number, maxBufferSize: number) {
    this.#device = device;
    this.budget = budget;
    this.#maxBufferSize = maxBufferSize;
  }

  /** A buffer of at least `bytes`; its content is undefined. */
  allocate(bytes: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer {
    const size = bufferSize(bytes);
    const key = `${usage}:${size}`;
    let buffer = this.#free.get(key)?.pop();
    if (buffer) {
      this.#cachedBytes -= size;
      buffer.label = label;
    } else {
      this.require(size, label);
      if (size > this.#maxBufferSize) {
        throw new OutOfMemoryError(
          `${label} (one buffer; the device's largest)`,
          size,
          this.#liveBytes,
          this.#maxBufferSize,
        );
      }
      buffer = this.#device.createBuffer({ size, usage, label });
    }
    this.#live.set(buffer, { bytes: size, label, key });
    this.#liveBytes += size;
    this.#peak = Math.max(this.#peak, this.#liveBytes + this.#cachedBytes);
    return buffer;
  }

  /**
   * Throws OutOfMemoryError unless `bytes` more fit into the budget; drops cached buffers to make room. For several buffers:
   * the sum of each one's `bufferSize`.
   */
  require(bytes: number, label: string): void {
    if (this.#liveBytes + bytes > this.budget)
      throw new OutOfMemoryError(label, bytes, this.#liveBytes, this.budget);
    if (this.#liveBytes + this.#cachedBytes + bytes > this.budget) this.trim();
  }

  release(buffer: GPUBuffer): void {
    const entry = this.#live.get(buffer);
    if (!entry) throw new Error(`buffer ${buffer.label} is not live in this pool`);
    this.#live.delete(buffer);
    this.#liveBytes -= entry.bytes;
    if (entry.bytes > largestCached) {
      buffer.destroy();
      return;
    }
    this.#cachedBytes += entry.bytes;
    const list = this.#free.get(entry.key);
    if (list) list.push(buffer);
    else this.#free.set(entry.key, [buffer]);
  }

  /** Destroys the buffers that are kept for reuse. */
  trim(): void {
    for (const list of this.#free.values()) for (const buffer of list) buffer.destroy();
    this.#free.clear();
    this.#cachedBytes = 0;
  }

  /** Labels and sizes of everything that is handed out: empty once all owners are disposed. */
  live(): { label: string; bytes: number }[] {
    return [...this.#live.values()].map(({ label, bytes }) => ({ label, bytes }));
  }

  use(): MemoryUse {
    return {
      live: this.#liveBytes,
      cached: this.#cachedBytes,
      peak: this.#peak,
      budget: this.budget,
      buffers: this.#live.size,
    };
  }
}
