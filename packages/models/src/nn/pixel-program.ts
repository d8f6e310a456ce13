import type { Device, Program, Recorder, Tensor } from "@mask-llava/runtime";

export interface RecordedPixels<O> {
  /** Where the pictures are written. [I, 3, H, W] */
  readonly pixels: Tensor;
  readonly program: Program;
  readonly outputs: O;
}

/** A network over pictures of one shape: recorded when the shape is first seen, replayed while it stays. */
export class PixelProgram<O extends readonly Tensor[]> implements Disposable {
  readonly #device: Device;
  readonly #name: string;
  readonly #record: (cmd: Recorder, pixels: Tensor) => O;
  #recorded: RecordedPixels<O> | undefined;

  constructor(device: Device, name: string, record: (cmd: Recorder, pixels: Tensor) => O) {
    this.#device = device;
    this.#name = name;
    this.#record = record;
  }

  /** The program for pictures of `shape` [I, 3, H, W]; the one before it, of another shape, is disposed. */
  async forShape(shape: readonly number[]): Promise<RecordedPixels<O>> {
    if (this.#recorded && this.#recorded.pixels.shape.join() === shape.join()) return this.#recorded;
    this.dispose();
    const pixels = this.#device.tensor({ shape, dtype: "f32", label: "pixel_values" });
    try {
      const cmd = this.#device.record(this.#name);
      const outputs = this.#record(cmd, pixels);
      this.#recorded = { pixels, program: await cmd.finish({ outputs }), outputs };
      return this.#recorded;
    } catch (error) {
      pixels.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.#recorded?.program.dispose();
    this.#recorded?.pixels.dispose();
    this.#recorded = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
