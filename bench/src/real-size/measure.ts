import type { Recorder, Tensor } from "@mask-llava/runtime";

/** What running a network of real size took. */
export interface Measured {
  /** Wall milliseconds: compiling and building, the first run (drivers compile then), and a run after it. */
  readonly build: number;
  readonly first: number;
  readonly run: number;
  readonly dispatches: number;
  readonly flops: number;
  /** GPU bytes: weights and caches, the program's own, and the peak of everything. */
  readonly weights: number;
  readonly program: number;
  readonly peak: number;
}

/** Builds and runs a recording twice. Throws where an output is not finite: such a run proves nothing. */
export async function measureProgram(
  cmd: Recorder,
  outputs: readonly Tensor[],
  weights: number,
): Promise<Measured> {
  const { device } = cmd;
  const started = performance.now();
  using program = await cmd.finish({ outputs });
  const built = performance.now();
  const results = await program.runAndRead(outputs);
  const first = performance.now();
  program.run();
  await device.idle();
  const done = performance.now();
  for (const [i, values] of results.entries()) {
    if (!values.every(Number.isFinite) || values.every((v) => v === 0)) {
      throw new Error(`${program.name}: ${outputs[i]} is not finite, or all zero`);
    }
  }
  return {
    build: built - started,
    first: first - built,
    run: done - first,
    dispatches: program.dispatches,
    flops: program.steps.reduce((sum, s) => sum + s.cost.flops, 0),
    weights,
    program: program.bytes,
    peak: device.memory().peak,
  };
}
