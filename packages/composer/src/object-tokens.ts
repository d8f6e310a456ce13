import type { Pixels, ProcessedImage } from "@mask-llava/models";
import { type Device, maskPool } from "@mask-llava/runtime";
import type { HostRows } from "./host-rows.ts";
import { patchCoverage } from "./masks.ts";
import type { Networks } from "./networks.ts";
import type { FoundObject } from "./objects.ts";
import type { Grid } from "./visual-tokens.ts";

export interface ObjectTokenInputs {
  readonly picture: Pixels;
  /** What the vision tower saw. */
  readonly processed: ProcessedImage;
  readonly grid: Grid;
  /** [rows · columns, Dv] */
  readonly patches: HostRows;
  readonly objects: readonly FoundObject[];
}

export interface MadeObjectTokens {
  /** [M, Do] */
  readonly tokens: HostRows;
  /** MaskInversion's explainability map of each [M, H, W]. */
  readonly maps: { readonly shape: readonly number[]; readonly data: Float32Array } | undefined;
}

/** One token a mask, as `object_tokens` says. */
export class ObjectTokens implements Disposable {
  readonly #device: Device;
  readonly #networks: Networks;

  constructor(device: Device, networks: Networks) {
    this.#device = device;
    this.#networks = networks;
  }

  async make(inputs: ObjectTokenInputs): Promise<MadeObjectTokens> {
    if (inputs.objects.length === 0) {
      return { tokens: { width: this.#networks.widths.object, data: new Float32Array(0) }, maps: undefined };
    }
    return this.#pool(inputs);
  }

  dispose(): void {}

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The mean of the patch features under each mask. */
  async #pool({ processed, grid, patches, objects }: ObjectTokenInputs): Promise<MadeObjectTokens> {
    const { patch_size: patch } = this.#networks.clip.vision.config;
    const count = grid.rows * grid.columns;
    const weights = new Float32Array(objects.length * count);
    objects.forEach(({ mask }, i) => {
      weights.set(patchCoverage(mask, processed.geometry, grid, patch), i * count);
    });
    const cmd = this.#device.record("mask pooling");
    const features = cmd.constant(
      { shape: [count, patches.width], dtype: "f32", label: "patches" },
      patches.data,
    ); // [N, Dv]
    const masks = cmd.constant({ shape: [objects.length, count], dtype: "f32", label: "masks" }, weights); // [M, N]
    const tokens = maskPool(cmd, features, masks); // [M, Dv]
    using program = await cmd.finish({ outputs: [tokens] });
    const [data] = (await program.runAndRead([tokens])) as [Float32Array];
    return { tokens: { width: patches.width, data }, maps: undefined };
  }
}
