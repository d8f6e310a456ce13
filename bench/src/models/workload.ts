import type { Device } from "@mask-llava/runtime";
import type { NetworkKind, NetworkOptions } from "../networks/network.ts";

/** A network on a device, ready to run. */
export interface Workload extends Disposable {
  readonly weightBytes: number;
  /** Wall milliseconds of recording and building, which waits for WGSL to be compiled (drivers compile later). */
  readonly build: number;
  /** Of one run. */
  readonly flops: number;
  /** Of one run; undefined where it is not one program. */
  readonly dispatches: number | undefined;
  /** GPU bytes of the program itself. */
  readonly programBytes: number | undefined;
  /** Submits one run and returns the host's milliseconds for that; undefined where it waits in between. */
  readonly submit: (() => number) | undefined;
  /** One run, to its end. */
  run(): Promise<void>;
  /** Throws where what was computed is not finite, or all zero: such a run proves nothing. */
  check(): Promise<void>;
}

export interface WorkloadKind {
  readonly name: string;
  /** Tokens that a run takes, of all sequences, where it is a decoder's. */
  readonly tokens?: number | undefined;
  shape(size: NetworkOptions["size"]): string;
  open(device: Device, options: NetworkOptions): Promise<Workload>;
}

/** A network that is one program. */
export function recorded(kind: NetworkKind): WorkloadKind {
  return {
    name: kind.name,
    tokens: kind.tokens,
    shape: (size) => kind.shape(size),
    async open(device, options) {
      const network = await kind.open(device, options);
      try {
        const begun = performance.now();
        const cmd = device.record(kind.name);
        const outputs = network.record(cmd);
        const program = await cmd.finish({ outputs });
        return {
          weightBytes: network.weightBytes,
          build: performance.now() - begun,
          flops: program.steps.reduce((sum, s) => sum + s.cost.flops, 0),
          dispatches: program.dispatches,
          programBytes: program.bytes,
          submit() {
            const from = performance.now();
            program.run();
            return performance.now() - from;
          },
          async run() {
            program.run();
            await device.idle();
          },
          async check() {
            for (const output of outputs) checkValues(`${output}`, await device.read(output));
          },
          [Symbol.dispose]() {
            program.dispose();
            network[Symbol.dispose]();
          },
        };
      } catch (error) {
        network[Symbol.dispose]();
        throw error;
      }
    },
  };
}

export function checkValues(what: string, values: ArrayLike<number>): void {
  let zero = true;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw new Error(`${what}: element ${i} is ${values[i]}`);
    zero &&= values[i] === 0;
  }
  if (zero) throw new Error(`${what} is all zero`);
}
