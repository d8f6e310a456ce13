import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TinyMaskLlava, tinyMaskLlava } from "../support/mask-llava-folder.ts";
import { fixture } from "./support.ts";

const parts = {
  vision: "clip-quick-gelu",
  detector: "detr-refine",
  segmenter: "sam-window-divides",
  language: "llava-default",
} as const;

/** The tiny Mask-LLaVA checkpoint as a folder on disk, within `folder`. */
export async function savedMaskLlava(folder: string, options: TinyMaskLlava = {}): Promise<string> {
  const model = join(folder, "mask-llava");
  mkdirSync(model);
  for (const [part, usual] of Object.entries(parts)) {
    copyCheckpoint(options[part as keyof typeof parts] ?? usual, join(model, part));
  }
  const tiny = await tinyMaskLlava(options);
  mkdirSync(join(model, "projector"));
  for (const file of ["mask_llava.json", "projector/model.safetensors"]) {
    const source = await tiny.open(file);
    if (!source) throw new Error(`the tiny checkpoint has no ${file}`);
    writeFileSync(join(model, file), await source.read(0, await source.size()));
    await source.close?.();
  }
  return model;
}

/** Copies a fixture's checkpoint, without its pictures and expectations. */
function copyCheckpoint(name: string, to: string): void {
  mkdirSync(to);
  const wanted = readdirSync(fixture(name)).filter(
    (file) => /\.(json|jinja|safetensors)$/.test(file) && !file.startsWith("expect"),
  );
  for (const file of wanted) cpSync(fixture(name, file), join(to, file));
}
