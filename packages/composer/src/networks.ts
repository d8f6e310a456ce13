import {
  CheckpointError,
  ClipVisionModel,
  ConfigError,
  DeformableDetr,
  type Folder,
  LanguageModel,
  type ModelLoadOptions,
  ProcessorConfigError,
  Sam,
} from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { ComposeError } from "./errors.ts";
import { findParts } from "./parts.ts";
import { type KindWidths, Projector } from "./projector.ts";
import { type MaskLlavaSettings, settingsFile } from "./settings.ts";

/** The networks of a Mask-LLaVA checkpoint. */
export interface Networks extends Disposable {
  readonly settings: MaskLlavaSettings;
  readonly clip: ClipVisionModel;
  readonly detector: DeformableDetr | undefined;
  readonly segmenter: Sam | undefined;
  readonly language: LanguageModel;
  readonly projector: Projector;
  /** Hidden state of the vision tower that patches and [CLS] come from, counted from the start. */
  readonly featureLayer: number;
  readonly widths: KindWidths;
}

/** Loads every network that `mask_llava.json` names. A sub-folder that it names and that is absent is an error. */
export async function loadNetworks(
  device: Device,
  folder: Folder,
  options: ModelLoadOptions = {},
): Promise<Networks> {
  const {
    settings,
    vision,
    detector: detectorPart,
    segmenter: segmenterPart,
    ...parts
  } = await findParts(folder);
  const loaded: Disposable[] = [];
  const keep = async <T extends Disposable>(part: string, work: Promise<T>): Promise<T> => {
    const network = await work.catch((error: unknown) => {
      throw inPart(part, error);
    });
    loaded.push(network);
    return network;
  };
  const disposeAll = () => {
    for (const network of loaded.reverse()) network[Symbol.dispose]();
  };
  try {
    const clip = await keep("vision", ClipVisionModel.load(device, vision, options));
    const widths = tokenWidths(clip, settings);
    const featureLayer = resolveLayer(clip, settings);
    checkPatchGrid(clip, settings);
    const detector =
      detectorPart && (await keep("detector", DeformableDetr.load(device, detectorPart, options)));
    const segmenter = segmenterPart && (await keep("segmenter", Sam.load(device, segmenterPart, options)));
    const language = await keep("language", LanguageModel.load(device, parts.language, options));
    const outputs = language.config.hidden_size;
    const projector = await keep(
      "projector_weights",
      Projector.load(device, parts.projector, { settings, widths, outputs }, options),
    );
    return {
      settings,
      clip,
      detector,
      segmenter,
      language,
      projector,
      featureLayer,
      widths,
      [Symbol.dispose]: disposeAll,
    };
  } catch (error) {
    disposeAll();
    throw error;
  }
}

/** Names the sub-checkpoint that is at fault: each has a config.json and a model.safetensors. */
function inPart(part: string, error: unknown): unknown {
  const readable =
    error instanceof ConfigError || error instanceof CheckpointError || error instanceof ProcessorConfigError;
  return readable ? new ComposeError(`${settingsFile}: ${part}: ${error.message}`, { cause: error }) : error;
}

function tokenWidths(clip: ClipVisionModel, settings: MaskLlavaSettings): KindWidths {
  const hidden = clip.vision.config.hidden_size;
  const joint = clip.visualProjection?.weight.shape[0];
  const inverts = settings.object_tokens === "mask_inversion" && settings.object_space === "projected";
  if (inverts && joint === undefined) {
    throw new ComposeError(
      `object_space "projected" needs CLIP's visual_projection, which ${settings.vision} does not have; "hidden" does without`,
    );
  }
  // pooled patch features live in the tower's own space whatever object_space says
  return { cls: hidden, patch: hidden, object: inverts ? (joint ?? hidden) : hidden };
}

function resolveLayer(clip: ClipVisionModel, settings: MaskLlavaSettings): number {
  const states = clip.vision.config.num_hidden_layers + 1;
  const layer = settings.vision_feature_layer;
  const resolved = layer < 0 ? layer + states : layer;
  if (resolved >= 0 && resolved < states) return resolved;
  throw new ComposeError(
    `${settingsFile}: vision_feature_layer is ${layer}; the vision tower has ${states} hidden states (${-states} to ${states - 1})`,
  );
}

function checkPatchGrid(clip: ClipVisionModel, { patch_grid: [rows, columns] }: MaskLlavaSettings): void {
  const { grid } = clip.vision;
  if (rows <= grid.rows && columns <= grid.columns) return;
  throw new ComposeError(
    `${settingsFile}: patch_grid is ${rows}x${columns}; the vision tower has ${grid.rows}x${grid.columns} patches`,
  );
}
