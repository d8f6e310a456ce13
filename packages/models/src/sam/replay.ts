import type { Device, Program, Recorder, Tensor } from "@mask-llava/runtime";
import { copyBytes } from "../nn/index.ts";

/** A program with the tensors that it reads and those that it writes. */
export interface Recorded<I extends string, O extends string> {
  readonly inputs: Readonly<Record<I, Tensor>>;
  readonly outputs: Readonly<Record<O, Tensor>>;
  readonly program: Program;
}

/** Records a program when its inputs' shapes (and whatever else `key` says) are first seen, and replays it while they stay. */
export class Replay<I extends string, O extends string> implements Disposable {
  readonly #device: Device;
  readonly #name: string;
  #latest: (Recorded<I, O> & { readonly key: string }) | undefined;

  constructor(device: Device, name: string) {
    this.#device = device;
    this.#name = name;
  }

  /** @param shapes of the inputs, all f32; the caller writes them before each run */
  async for(
    key: string,
    shapes: Readonly<Record<I, readonly number[]>>,
    record: (cmd: Recorder, inputs: Readonly<Record<I, Tensor>>) => Record<O, Tensor>,
  ): Promise<Recorded<I, O>> {
    const whole = `${key} ${JSON.stringify(shapes)}`;
    if (this.#latest?.key === whole) return this.#latest;
    this.dispose();
    const inputs = {} as Record<I, Tensor>;
    try {
      for (const [label, shape] of Object.entries(shapes) as [I, readonly number[]][])
        inputs[label] = this.#device.tensor({ shape, dtype: "f32", label });
      const cmd = this.#device.record(this.#name);
      const outputs = record(cmd, inputs);
      const program = await cmd.finish({ outputs: Object.values<Tensor>(outputs) });
      this.#latest = { key: whole, inputs, outputs, program };
      return this.#latest;
    } catch (error) {
      for (const tensor of Object.values<Tensor>(inputs)) tensor.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.#latest?.program.dispose();
    for (const tensor of Object.values<Tensor>(this.#latest?.inputs ?? {})) tensor.dispose();
    this.#latest = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A row of one tensor that becomes a row of another. */
export interface RowCopy {
  readonly from: Tensor;
  readonly fromRow: number;
  readonly to: Tensor;
  readonly toRow: number;
}

/** Copies rows of `width` f32 on the GPU, after everything that was submitted before. */
export function copyRows(device: Device, width: number, copies: readonly RowCopy[]): void {
  const bytes = 4 * width;
  copyBytes(
    device,
    copies.map(({ from, fromRow, to, toRow }) => {
      return { from, fromByte: fromRow * bytes, to, toByte: toRow * bytes, bytes };
    }),
  );
}
