import { PixelProgram, type Pixels, type ProcessedImage } from "@mask-llava/models";
import { CancelledError, type Device, type Tensor } from "@mask-llava/runtime";
import type { HostRows, HostValues } from "./host-rows.ts";
import type { InversionFit } from "./inversion-fit.ts";
import type { Networks } from "./networks.ts";
import { ObjectTokens } from "./object-tokens.ts";
import { type FoundObject, findObjects, type GivenObjects } from "./objects.ts";
import type { Grid } from "./visual-tokens.ts";

/** Wall milliseconds of image work. */
export interface AnalysisTimings {
  readonly vision: number;
  readonly detect: number;
  readonly segment: number;
  readonly objectTokens: number;
}

/** All that the networks say of a picture, on the host, whatever the budget: what is worth remembering. */
export interface Analysis {
  readonly processed: ProcessedImage;
  readonly grid: Grid;
  /** [1, Dv] */
  readonly cls: HostRows;
  /** [rows · columns, Dv] */
  readonly patches: HostRows;
  /** Objects, best first, and the background. */
  readonly objects: readonly FoundObject[];
  /** A token an object [M, Do]. */
  readonly objectTokens: HostRows;
  /** MaskInversion's last explainability map of each object [M, H, W]; undefined for pooled object tokens. */
  readonly maps: HostValues | undefined;
  /** How MaskInversion went for each object [M]; undefined for pooled object tokens. */
  readonly fits: readonly InversionFit[] | undefined;
  readonly timings: AnalysisTimings;
}

/** Host memory of an analysis: that of its arrays. */
export function analysisBytes({ processed, cls, patches, objects, objectTokens, maps }: Analysis): number {
  const arrays = [processed.pixelValues, cls.data, patches.data, objectTokens.data, maps?.data];
  const masks = objects.map(({ mask }) => mask.data);
  return [...arrays, ...masks].reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
}

/** Does the image work of a checkpoint's networks; its programs are recorded once and replayed. */
export class Analyst implements Disposable {
  readonly #networks: Networks;
  readonly #device: Device;
  readonly #vision: PixelProgram<readonly [Tensor]>;
  readonly #objectTokens: ObjectTokens;

  constructor(device: Device, networks: Networks) {
    this.#networks = networks;
    this.#device = device;
    this.#objectTokens = new ObjectTokens(device, networks);
    this.#vision = new PixelProgram(device, "vision tower", (cmd, pixels) => {
      const { featureLayer, clip } = networks;
      const { hiddenStates } = clip.vision.forward(cmd, pixels, { layers: featureLayer });
      const state = hiddenStates[featureLayer] as Tensor; // [1, 1+N, Dv]
      return [state];
    });
  }

  async analyse(picture: Pixels, given: GivenObjects, signal?: AbortSignal): Promise<Analysis> {
    const { clip } = this.#networks;
    const started = performance.now();
    const processed = clip.processor.process(picture);
    const { pixels, program, outputs } = await this.#vision.forShape(processed.shape);
    this.#device.write(pixels, processed.pixelValues);
    const [state] = (await program.runAndRead(outputs)) as [Float32Array];
    const width = clip.vision.config.hidden_size;
    const grid = clip.vision.gridOf(processed.shape[2], processed.shape[3]);
    const patches = { width, data: state.slice(width) };
    const vision = performance.now() - started;
    throwIfAborted(signal);
    const { objects, timings } = await findObjects(picture, this.#networks, given);
    throwIfAborted(signal);
    const tokensStarted = performance.now();
    const made = await this.#objectTokens.make({ picture, processed, grid, patches, objects }, signal);
    return {
      processed,
      grid,
      cls: { width, data: state.slice(0, width) },
      patches,
      objects,
      objectTokens: made.tokens,
      maps: made.maps,
      fits: made.fits,
      timings: { vision, ...timings, objectTokens: performance.now() - tokensStarted },
    };
  }

  dispose(): void {
    this.#vision.dispose();
    this.#objectTokens.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CancelledError();
}
