import { fileURLToPath } from "node:url";
import { type Folder, MemoryFolder, writeSafetensors } from "@mask-llava/models";
import { FileFolder } from "@mask-llava/models/node";
import { Random } from "@mask-llava/runtime";

const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));

export interface TinyMaskLlava {
  /** Fields of mask_llava.json that differ from the defaults below. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly vision?: string;
  readonly detector?: string;
  readonly segmenter?: string;
  readonly language?: string;
  /** Sub-folders to leave out. */
  readonly without?: readonly string[];
  /** Width of the tokens before the projector, by kind; of the decoder. */
  readonly widths?: { readonly hidden: number; readonly object: number; readonly decoder: number };
}

const defaults = {
  vision: "clip-quick-gelu",
  detector: "detr-refine",
  segmenter: "sam-window-divides",
  language: "llava-default",
};
const defaultWidths = { hidden: 30, object: 22, decoder: 30 };

/** A Mask-LLaVA checkpoint put together from the fixtures' networks and a random projector: its answers mean nothing. */
export async function tinyMaskLlava(options: TinyMaskLlava = {}): Promise<Folder> {
  const names = { ...defaults, ...options };
  const parts = new Map<string, Folder>();
  for (const kind of ["vision", "detector", "segmenter", "language"] as const) {
    parts.set(kind, await FileFolder.open(`${fixtures}/${names[kind]}`));
  }
  const settings = {
    patch_grid: [3, 3],
    max_objects: 6,
    objects: { score_threshold: 0 },
    ...options.settings,
  };
  const projector = projectorBytes(settings, options.widths ?? defaultWidths);
  parts.set("projector", new MemoryFolder({ "model.safetensors": projector }));
  for (const name of options.without ?? []) parts.delete(name);
  const own = new MemoryFolder({ "mask_llava.json": new TextEncoder().encode(JSON.stringify(settings)) });
  return {
    name: "tiny-mask-llava",
    async open(name) {
      const [first = "", ...rest] = name.split("/");
      return rest.length ? parts.get(first)?.open(rest.join("/")) : own.open(name);
    },
  };
}

function projectorBytes(
  settings: Readonly<Record<string, unknown>>,
  widths: { hidden: number; object: number; decoder: number },
) {
  const random = new Random(99);
  const tensors: Record<string, { shape: number[]; data: Float32Array }> = {};
  const add = (name: string, shape: number[], scale: number, mean = 0) => {
    tensors[name] = { shape, data: Float32Array.from(random.normals(shape, { scale, mean }).data) };
  };
  const linear = (name: string, inputs: number, outputs: number) => {
    add(`${name}.weight`, [outputs, inputs], 1 / Math.sqrt(inputs));
    add(`${name}.bias`, [outputs], 0.1);
  };
  const { hidden, object, decoder } = widths;
  const prefix = "multi_modal_projector";
  if (settings.projector === "shared") linear(`${prefix}.linear_1`, hidden, decoder);
  else
    for (const [kind, width] of [
      ["cls", hidden],
      ["patch", hidden],
      ["object", object],
    ] as const)
      linear(`${prefix}.linear_1.${kind}`, width, decoder);
  linear(`${prefix}.linear_2`, decoder, decoder);
  if (settings.norm_scaling === "learned")
    for (const kind of ["cls", "patch", "object"]) add(`${prefix}.norm_scale.${kind}`, [], 0.1, 1.5);
  return writeSafetensors(tensors);
}
