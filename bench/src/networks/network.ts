import type { Device, Recorder, Tensor } from "@mask-llava/runtime";
import type { Size } from "../common/sizes.ts";

/** A network of random weights that can be recorded. */
export interface RandomNetwork extends Disposable {
  /** Of weights and caches on the GPU. */
  readonly weightBytes: number;
  /** What a caller would write before each run; everything else that is read stays. */
  readonly inputs: readonly Tensor[];
  /** Records one forward pass and returns its outputs. */
  record(cmd: Recorder): readonly Tensor[];
}

export interface NetworkOptions {
  readonly size: Size;
  /** Of matrices; norms and biases are f32. */
  readonly dtype: "f32" | "f16";
}

/** A kind of network, by name. */
export interface NetworkKind {
  readonly name: string;
  /** Tokens that a run takes, of all sequences, where it is a decoder's. */
  readonly tokens?: number;
  /** Its shape at a size, in a few words. */
  shape(size: Size): string;
  open(device: Device, options: NetworkOptions): Promise<RandomNetwork>;
}

/** Values of a picture, or of anything that a network is given: deterministic, within [-1, 1]. */
export function waves(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(i * 0.37));
}
