/**
 * Typed errors of the runtime. Every error that a caller may want to tell apart has a class and a stable `code`;
 * messages name the op, the shapes and the labels involved.
 */
export class RuntimeError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** Shapes or parameters of an op do not fit together. */
export class ShapeError extends RuntimeError {
  constructor(message: string) {
    super("SHAPE", message);
  }
}

/** A tensor has a dtype that the op does not take. */
export class DTypeError extends RuntimeError {
  constructor(message: string) {
    super("DTYPE", message);
  }
}

/** A kernel does not compile, no variant fits the device, or a dispatch exceeds the device's limits. */
export class KernelError extends RuntimeError {
  constructor(message: string, options?: ErrorOptions) {
    super("KERNEL", message, options);
  }
}

/** Something was used after its owner released it. */
export class DisposedError extends RuntimeError {
  constructor(message: string) {
    super("DISPOSED", message);
  }
}

/** No adapter fits what was asked for. */
export class AdapterError extends RuntimeError {
  constructor(message: string, options?: ErrorOptions) {
    super("ADAPTER", message, options);
  }
}

/** The device reported a validation or internal error: a bug of the runtime or of the driver. */
export class DeviceError extends RuntimeError {
  constructor(message: string, options?: ErrorOptions) {
    super("DEVICE", message, options);
  }
}

/** The device is gone (driver reset, destroyed, unplugged); nothing on it can be used any more. */
export class DeviceLostError extends RuntimeError {
  readonly reason: string;
  constructor(reason: string, message: string) {
    super("DEVICE_LOST", `the GPU device was lost (${reason})${message ? `: ${message}` : ""}`);
    this.reason = reason;
  }
}

/** An allocation would exceed the memory budget, or the driver refused it. Sizes in bytes. */
export class OutOfMemoryError extends RuntimeError {
  readonly requested: number;
  readonly live: number;
  readonly budget: number;
  constructor(what: string, requested: number, live: number, budget: number) {
    super(
      "OUT_OF_MEMORY",
      `out of GPU memory: ${what} needs ${formatBytes(requested)}, ${formatBytes(live)} are in use, the budget is ${formatBytes(budget)}`,
    );
    this.requested = requested;
    this.live = live;
    this.budget = budget;
  }
}

/** The caller cancelled the work through an AbortSignal. */
export class CancelledError extends RuntimeError {
  constructor(message = "cancelled") {
    super("CANCELLED", message);
  }
}

/** A byte count for people: binary units, one decimal. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
