import { type Device, greaterThan, resize2d, sigmoid, slice, type Tensor } from "@mask-llava/runtime";
import type { Geometry } from "../images/index.ts";
import { copyRows, Replay } from "./replay.ts";

/** What a mask's pixels hold: logits, their sigmoid, or 1 where the logit is positive and 0 elsewhere. */
export type MaskKind = "logits" | "soft" | "binary";

/** Bytes of the maps that are enlarged at once, at most, unless a single one has more. */
const chunkBytes = 128 * 2 ** 20;

/** Some of the enlarged maps, in GPU memory that is overwritten by those that follow. */
export interface MaskChunk {
  /** [n, 1, H, W]; the first `count` are filled. */
  readonly maps: Tensor;
  /** Place of the first among those asked for. */
  readonly first: number;
  readonly count: number;
}

/**
 * Low-resolution masks to the picture's own size, as `post_process_masks`: bilinear to the padded square, cut to what
 * shows the picture, bilinear to the picture's size.
 */
export class MaskUpsampler implements Disposable {
  readonly #device: Device;
  readonly #replay: Replay<"low", "maps">;

  constructor(device: Device) {
    this.#device = device;
    this.#replay = new Replay(device, "sam masks");
  }

  /**
   * @param masks [.., side, side]
   * @param rows which of them, counted through all leading axes
   * @param sink is handed the maps in order, some at a time
   */
  async run(
    masks: Tensor,
    rows: readonly number[],
    kind: MaskKind,
    geometry: Geometry,
    sink: (chunk: MaskChunk) => void | Promise<void>,
  ): Promise<void> {
    const side = masks.shape.at(-1) as number;
    const { output, resized, original } = geometry;
    const [square, content, size] = [output, resized, original].map(
      ({ height, width }) => [height, width] as const,
    ) as [readonly [number, number], readonly [number, number], readonly [number, number]];
    const bytes = 4 * [square, content, size].reduce((sum, [h, w]) => sum + h * w, 0);
    const batch = Math.min(rows.length, Math.max(1, Math.floor(chunkBytes / bytes)));
    const key = JSON.stringify([square, content, size, kind]);
    const recorded = await this.#replay.for(key, { low: [batch, 1, side, side] }, (cmd, { low }) => {
      const bilinear = { mode: "bilinear" } as const;
      const whole = resize2d(cmd, low, square, bilinear); // [n, 1, S, S]
      const shown = slice(cmd, whole, [0, 0, 0, 0], [batch, 1, ...content]); // [n, 1, h, w]
      const maps = resize2d(cmd, shown, size, bilinear); // [n, 1, H, W]
      if (kind === "logits") return { maps };
      return { maps: kind === "soft" ? sigmoid(cmd, maps) : greaterThan(cmd, maps, 0) };
    });
    const { inputs, outputs, program } = recorded;
    for (let first = 0; first < rows.length; first += batch) {
      const part = rows.slice(first, first + batch);
      const copies = part.map((row, i) => ({ from: masks, fromRow: row, to: inputs.low, toRow: i }));
      copyRows(this.#device, side * side, copies);
      program.run();
      await sink({ maps: outputs.maps, first, count: part.length });
    }
  }

  dispose(): void {
    this.#replay.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
