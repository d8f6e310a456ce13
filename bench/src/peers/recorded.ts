import type { Device, Program, Storage, Tensor } from "@mask-llava/runtime";
import type { External } from "./onnx/graph.ts";
import { TracedRecorder } from "./traced-recorder.ts";

/** A program of ours with what another library needs to do the same. */
export interface Recorded extends Disposable {
  readonly recorder: TracedRecorder;
  readonly program: Program;
  readonly outputs: readonly Tensor[];
  /** Wall milliseconds of the first run, in which drivers compile. */
  readonly firstRun: number;
  /** Every tensor that no call computes, with its data. */
  readonly external: ReadonlyMap<Storage, External>;
}

/**
 * Records, builds, runs, and reads back what the recording takes from outside. (A cache then holds what the run appends to
 * it, as it does in every later run.)
 * @param record makes the calls; returns the outputs
 * @param isFed whether a tensor from outside is an input, rather than a weight
 */
export async function recordTraced(
  device: Device,
  name: string,
  record: (cmd: TracedRecorder) => readonly Tensor[],
  isFed: (tensor: Tensor) => boolean,
): Promise<Recorded> {
  device.check();
  const recorder = new TracedRecorder(device, name);
  const outputs = record(recorder);
  const program = await recorder.finish({ outputs });
  const begun = performance.now();
  program.run();
  await device.idle();
  const firstRun = performance.now() - begun;
  const computed = new Set(recorder.calls.flatMap((call) => call.outputs.map((t) => t.storage)));
  const external = new Map<Storage, External>();
  for (const tensor of recorder.calls.flatMap(({ inputs }) => Object.values(inputs))) {
    if (!tensor || computed.has(tensor.storage) || external.has(tensor.storage)) continue;
    const { shape, dtype } = tensor;
    external.set(tensor.storage, { shape, dtype, data: await device.read(tensor), fed: isFed(tensor) });
  }
  return { recorder, program, outputs, firstRun, external, [Symbol.dispose]: () => program.dispose() };
}
