import {
  ClipVisionModel,
  DeformableDetr,
  type Folder,
  LanguageModel,
  type ModelLoadOptions,
  readJson,
  requireJson,
  Sam,
} from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { ComposeError } from "./errors.ts";
import { type KindWidths, Projector } from "./projector.ts";
import { type MaskLlavaSettings, parseSettings, settingsFile } from "./settings.ts";
import { SubFolder } from "./sub-folder.ts";

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
  const settings = parseSettings(await requireJson(folder, settingsFile));
  const sub = (name: string) => new SubFolder(folder, name);
  const loaded: Disposable[] = [];
  const keep = async <T extends Disposable>(work: Promise<T>): Promise<T> => {
    const network = await work;
    loaded.push(network);
    return network;
  };
  const disposeAll = () => {
    for (const network of loaded.reverse()) network[Symbol.dispose]();
  };
  try {
    const clip = await keep(ClipVisionModel.load(device, sub(settings.vision), options));
    const widths = tokenWidths(clip, settings);
    const featureLayer = resolveLayer(clip, settings);
    checkPatchGrid(clip, settings);
    const detectorName = await optionalPart(folder, settings.detector, "detector");
    const segmenterName = await optionalPart(folder, settings.segmenter, "segmenter");
    const detector = detectorName && (await keep(DeformableDetr.load(device, sub(detectorName), options)));
    const segmenter = segmenterName && (await keep(Sam.load(device, sub(segmenterName), options)));
    const language = await keep(LanguageModel.load(device, sub(settings.language), options));
    const outputs = language.config.hidden_size;
    const projectorFolder = await findProjector(folder, settings);
    const projector = await keep(
      Projector.load(device, projectorFolder, { settings, widths, outputs }, options),
    );
    return {
      settings,
      clip,
      detector: detector || undefined,
      segmenter: segmenter || undefined,
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

/** The sub-folder of a network that may be absent: what the settings say or, where they say nothing, `usual` if it is there. */
async function optionalPart(
  folder: Folder,
  named: string | null | undefined,
  usual: string,
): Promise<string | undefined> {
  if (named !== undefined) return named ?? undefined;
  const config = await new SubFolder(folder, usual).open("config.json");
  await config?.close?.();
  return config && usual;
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

/** The projector's own folder or, where that is absent, the language folder, if it is a LLaVA checkpoint. */
async function findProjector(folder: Folder, settings: MaskLlavaSettings): Promise<Folder> {
  const own = new SubFolder(folder, settings.projector_weights);
  for (const name of ["model.safetensors", "model.safetensors.index.json"]) {
    const source = await own.open(name);
    if (!source) continue;
    await source.close?.();
    return own;
  }
  const language = new SubFolder(folder, settings.language);
  const config = (await readJson(language, "config.json")) as { model_type?: unknown } | undefined;
  return config?.model_type === "llava" ? language : own;
}
