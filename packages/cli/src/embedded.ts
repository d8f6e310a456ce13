import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ModelKind } from "@mask-llava/models";
import { FileFolder } from "@mask-llava/models/node";
import { UsageError } from "./errors.ts";
import type { ModelFlags } from "./flags.ts";
import { type Io, say } from "./io.ts";

/** The Mask-LLaVA checkpoint that comes with the program; the README in it says what it was trained on and what it knows. */
export const embeddedCheckpoint = fileURLToPath(new URL("../checkpoint", import.meta.url));

/** A picture of the world that the embedded checkpoint knows, and what is asked about it when nothing else is. */
export const example = {
  picture: fileURLToPath(new URL("../assets/examples/scene-1.jpg", import.meta.url)),
  question: "Describe the rightmost object.",
  /** Where the sheet of the example's visual tokens goes. */
  sheet: "mask-llava-tokens.png",
} as const;

/** Folders of the networks in it that serve on their own. */
const parts: Partial<Readonly<Record<ModelKind, string>>> = {
  clip: "vision",
  deformable_detr: "detector",
  sam: "segmenter",
};

/** The embedded checkpoint, or a sub-folder of it. Throws a UsageError where the program comes without one. */
export async function openEmbedded(part = ""): Promise<FileFolder> {
  if (!existsSync(embeddedCheckpoint)) {
    throw new UsageError("--model DIR is missing, and no checkpoint is embedded in this build");
  }
  return await FileFolder.open(join(embeddedCheckpoint, part));
}

/** The embedded network of one of these kinds; undefined where none is embedded. */
export async function embeddedPart<K extends ModelKind>(
  wanted: readonly K[],
): Promise<{ readonly folder: FileFolder; readonly kind: K } | undefined> {
  for (const kind of wanted) {
    const part = parts[kind];
    if (part !== undefined) return { folder: await openEmbedded(part), kind };
  }
  return undefined;
}

/** Says whose answer it is where no `--model` is given. */
export function sayEmbedded({ model }: Pick<ModelFlags, "model">, io: Io): void {
  if (model !== undefined) return;
  say(
    io,
    "no --model is given: the embedded checkpoint answers, which knows drawn scenes of coloured shapes and nothing else",
  );
}
