import {
  Checkpoint,
  CheckpointError,
  type CheckpointOptions,
  type Folder,
  Linear,
  llavaNames,
  type UploadOptions,
  type WeightSource,
  type Weights,
} from "@mask-llava/models";
import type { Activation, Device, Recorder, Tensor } from "@mask-llava/runtime";
import { ComposeError } from "./errors.ts";
import type { MaskLlavaSettings } from "./settings.ts";

/** Kinds that have an input layer of their own with `per_kind`; the background counts as an object. */
export const projectedKinds = ["cls", "patch", "object"] as const;
export type ProjectedKind = (typeof projectedKinds)[number];

export type KindWidths = Readonly<Record<ProjectedKind, number>>;

export interface ProjectorShape {
  readonly settings: MaskLlavaSettings;
  readonly widths: KindWidths;
  /** The decoder's width. */
  readonly outputs: number;
}

/**
 * Visual tokens to the decoder's width: Linear, activation, Linear, as LLaVA-1.5's. The first layer is one for all kinds
 * (`linear_1`), or one a kind (`linear_1.cls`, `linear_1.patch`, `linear_1.object`) where widths differ; the second is shared.
 * With `norm_scaling: learned` there is a factor a kind (`norm_scale.cls`, …), applied before. Owns its weights.
 */
export class Projector implements Disposable {
  readonly #source: WeightSource;
  readonly #first: Readonly<Record<ProjectedKind, Linear>>;
  readonly #second: Linear;
  readonly #activation: Activation;
  /** Learned factors [1, 1], where norms are scaled so. */
  readonly scales: Readonly<Record<ProjectedKind, Tensor>> | undefined;

  private constructor(source: WeightSource, w: Weights, { settings, widths, outputs }: ProjectorShape) {
    this.#source = source;
    this.#activation =
      settings.projector_hidden_act === "gelu_pytorch_tanh" ? "gelu_tanh" : settings.projector_hidden_act;
    const bias = w.has("linear_2.bias");
    const shared = settings.projector === "shared";
    if (shared && new Set(Object.values(widths)).size > 1) {
      throw new ComposeError(
        `projector "shared" needs tokens of one width; [CLS] has ${widths.cls}, patches ${widths.patch}, objects ${widths.object} (object_space "${settings.object_space}")`,
      );
    }
    const first = (kind: ProjectedKind) =>
      Linear.load(w.at(shared ? "linear_1" : `linear_1.${kind}`), widths[kind], outputs, { bias });
    this.#first = { cls: first("cls"), patch: first("patch"), object: first("object") };
    this.#second = Linear.load(w.at("linear_2"), outputs, outputs, { bias });
    if (settings.norm_scaling === "learned") {
      const scale = (kind: ProjectedKind) =>
        w.take(`norm_scale.${kind}`, [], { dtype: "f32" }).reshape([1, 1]);
      this.scales = { cls: scale("cls"), patch: scale("patch"), object: scale("object") };
    }
  }

  /**
   * Reads `multi_modal_projector.…` (or the same names without that prefix) from a folder of its own, or from a LLaVA
   * checkpoint, of which it takes nothing else.
   */
  static async load(
    device: Device,
    folder: Folder,
    shape: ProjectorShape,
    options: CheckpointOptions & UploadOptions = {},
  ): Promise<Projector> {
    const prefix = "multi_modal_projector.";
    const rename = [...llavaNames, { from: /^(?=linear_[12]\.|norm_scale\.)/, to: prefix }];
    const checkpoint = await Checkpoint.open(device, folder, {
      ...options,
      rename,
      ignore: [/^(?!multi_modal_projector\.)/],
    });
    try {
      const weights = checkpoint.weights.at("multi_modal_projector");
      if (!checkpoint.weights.hasAny("multi_modal_projector")) {
        throw new CheckpointError("holds no projector", {
          file: folder.name,
          expected: `tensors named ${prefix}linear_1…`,
        });
      }
      const projector = new Projector(checkpoint, weights, shape);
      await checkpoint.load(options);
      return projector;
    } catch (error) {
      checkpoint.dispose();
      throw error;
    }
  }

  /** Takes its weights at the source's root; the projector then owns the source, which is disposed where that fails. */
  static async fromWeights(source: WeightSource, shape: ProjectorShape): Promise<Projector> {
    try {
      const projector = new Projector(source, source.weights, shape);
      await source.load();
      return projector;
    } catch (error) {
      source[Symbol.dispose]();
      throw error;
    }
  }

  /** Tokens of one kind. [n, Dkind] -> [n, D] */
  forward(cmd: Recorder, kind: ProjectedKind, x: Tensor): Tensor {
    const hidden = this.#first[kind].forward(cmd, x, { activation: this.#activation }); // [n, D]
    return this.#second.forward(cmd, hidden); // [n, D]
  }

  dispose(): void {
    this.#source[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
