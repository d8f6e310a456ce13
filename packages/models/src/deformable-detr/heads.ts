import type { Recorder, Shape, Tensor } from "@mask-llava/runtime";
import { CheckpointError, type Weights } from "../checkpoint/index.ts";
import { Linear } from "../nn/index.ts";
import type { DeformableDetrConfig } from "./config.ts";

/** Three linear layers with ReLU between them: query -> box (`DeformableDetrMLPPredictionHead`). */
export class BoxHead {
  readonly layers: readonly Linear[];

  constructor(layers: readonly Linear[]) {
    this.layers = layers;
  }

  /** [B, Q, D] -> [B, Q, 4] */
  forward(cmd: Recorder, x: Tensor): Tensor {
    const last = this.layers.length - 1;
    return this.layers.reduce(
      (y, layer, i) => layer.forward(cmd, y, { activation: i < last ? "relu" : "none" }),
      x,
    );
  }
}

/** The heads behind each decoder layer and, in a two-stage model, one more of each behind the encoder. */
export interface DetectionHeads {
  /** [B, Q, D] -> logits [B, Q, C] */
  readonly classes: readonly Linear[];
  /** [B, Q, D] -> box offsets [B, Q, 4] */
  readonly boxes: readonly BoxHead[];
}

/**
 * Takes `class_embed.{i}` and `bbox_embed.{i}` at the root. A file may hold the first of each alone, which then serves all
 * layers (unless `tie_word_embeddings` is false). Where boxes are refined, transformers stores the box heads below
 * `model.decoder` too, and with two stages the class heads: either place will do, and in both they must be equal.
 * @param file the checkpoint, for messages
 */
export function loadHeads(w: Weights, c: DeformableDetrConfig, file: string): DetectionHeads {
  const { d_model: width } = c;
  const count = c.decoder_layers + (c.two_stage ? 1 : 0);
  const indices = Array.from({ length: count }, (_, i) => i);
  return {
    classes: indices.map((i) => {
      const head = locate(w, c, "class_embed", i, c.two_stage);
      return loadLinear(w, file, head, "", width, c.labels.length);
    }),
    boxes: indices.map((i) => {
      const head = locate(w, c, "bbox_embed", i, c.with_box_refine);
      return new BoxHead(
        [width, width, 4].map((outputs, layer) =>
          loadLinear(w, file, head, `layers.${layer}.`, width, outputs),
        ),
      );
    }),
  };
}

/** Names of a head: where it is stored, and where once more. */
interface HeadPlace {
  readonly name: string;
  readonly copy: string | undefined;
}

/** The plain name where the head is nowhere, so that the error tells that. */
function locate(w: Weights, c: DeformableDetrConfig, kind: string, i: number, inDecoder: boolean): HeadPlace {
  const plain = `${kind}.${i}`;
  const places = inDecoder ? [plain, `model.decoder.${plain}`] : [plain];
  const [name, copy] = places.filter((place) => w.hasAny(place));
  if (name) return { name, copy };
  return c.tie_word_embeddings && i > 0 ? locate(w, c, kind, 0, inDecoder) : { name: plain, copy };
}

function loadLinear(
  w: Weights,
  file: string,
  head: HeadPlace,
  layer: string,
  inputs: number,
  outputs: number,
): Linear {
  return new Linear(
    takeOnce(w, file, head, `${layer}weight`, [outputs, inputs]),
    takeOnce(w, file, head, `${layer}bias`, [outputs], "f32"),
  );
}

/** The tensor that is stored once, or twice with the same values: the reference would use whichever it read last. */
function takeOnce(
  w: Weights,
  file: string,
  head: HeadPlace,
  tensor: string,
  shape: Shape,
  dtype?: "f32",
): Tensor {
  const label = `${head.name}.${tensor}`;
  if (!head.copy) return w.take(label, shape, dtype && { dtype });
  const copy = `${head.copy}.${tensor}`;
  return w.derive({
    label,
    shape,
    ...(dtype && { dtype }),
    from: { original: { name: label, shape }, copy: { name: copy, shape } },
    compute: ({ original, copy: other }) => {
      const at = (original as Float32Array).findIndex((v, i) => v !== other?.[i]);
      if (at < 0) return original as Float32Array;
      throw new CheckpointError(`differs from ${label}, of which it is a copy, at element ${at}`, {
        file,
        tensor: w.path(copy),
        found: String(other?.[at]),
        expected: String(original?.[at]),
      });
    },
  });
}
