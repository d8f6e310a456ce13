import { mapDice, type Tensor } from "@mask-llava/runtime";
import type { Size } from "../images/index.ts";
import { checkFinite, l2Normalize } from "../nn/index.ts";
import { relevanceOfImage } from "./gradient.ts";
import { type InversionContext, SharedTensors } from "./invert.ts";
import { mapsToPixels } from "./maps.ts";
import { bytesPerMask } from "./mask-batch.ts";
import { MaskInversionError } from "./settings.ts";

/**
 * LeGrad's explainability maps of embeddings, 0 to 1 each: which pixels make the image like a text's embedding.
 * @param embeddings [T, E], any norm
 * @returns [T, H, W]
 * @throws MaskInversionError for embeddings of another width, or without a direction; RuntimeError NOT_FINITE for weights
 * whose maps are no numbers
 */
export async function legradMaps(
  context: InversionContext,
  embeddings: { readonly shape: readonly number[]; readonly data: Float32Array },
  size: Size,
): Promise<{ readonly shape: readonly number[]; readonly data: Float32Array }> {
  const { device, image, grid, patch } = context;
  const [count, width] = embeddings.shape as [number, number];
  const expected = image.embedding.shape[1] as number;
  if (
    embeddings.shape.length !== 2 ||
    count < 1 ||
    width !== expected ||
    embeddings.data.length !== count * width
  ) {
    throw new MaskInversionError(
      "the shape of embeddings",
      `[${embeddings.shape.join(", ")}]`,
      `[T, ${expected}]`,
    );
  }
  for (let row = 0; row < count; row++) {
    const values = embeddings.data.subarray(row * width, (row + 1) * width);
    const square = values.reduce((a, b) => a + b * b, 0);
    if (!(square > 0 && Number.isFinite(square)))
      throw new MaskInversionError(`the squared norm of embedding ${row}`, square, "positive and finite");
  }
  const pixels = size.height * size.width;
  const data = new Float32Array(count * pixels);
  const { live, budget } = device.memory();
  const limit = Math.min(2 ** 30, (budget - live) / 2);
  const atOnce = Math.max(1, Math.floor(limit / bytesPerMask(image, pixels)));
  using shared = new SharedTensors(context, size);
  for (let from = 0; from < count; from += atOnce) {
    const rows = Math.min(atOnce, count - from);
    const part = embeddings.data.subarray(from * width, (from + rows) * width);
    using t = device.tensor({ shape: [rows, width], dtype: "f32", label: "embeddings" }, part);
    using none = device.tensor({ shape: [rows, grid.rows * grid.columns], dtype: "f32", label: "no mask" });
    device.write(none, new Float32Array(rows * grid.rows * grid.columns));
    const cmd = device.record("legrad");
    const { relevance } = relevanceOfImage(cmd, image, l2Normalize(cmd, t)); // [T, 1+P]
    const { area, resampling } = shared.tensors;
    const params = { rows: grid.rows, columns: grid.columns, patch, scale: 1 };
    const { maps }: { maps: Tensor } = mapDice(cmd, { relevance, coverage: none, area }, params); // [T, P]
    const at = mapsToPixels(cmd, maps.reshape([rows, grid.rows, grid.columns]), resampling); // [T, H, W]
    using program = await cmd.finish({ outputs: [at] });
    const [values] = await program.runAndRead([at]);
    data.set(values as Float32Array, from * pixels);
  }
  checkFinite("LeGrad's maps", data);
  return { shape: [count, size.height, size.width], data };
}
