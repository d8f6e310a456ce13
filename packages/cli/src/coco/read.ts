import { readFile } from "node:fs/promises";
import type { Box } from "@mask-llava/models";

/** A file that is not COCO JSON, or that holds a box that is none. */
export class CocoError extends Error {
  constructor(file: string, where: string, problem: string) {
    super(`${file}: ${where ? `${where}: ` : ""}${problem}`);
    this.name = "CocoError";
  }
}

/**
 * The boxes of a COCO file, of its `annotations` or, as results have it, of a list, as (x0, y0, x1, y1).
 * @throws CocoError naming the file, the annotation, what was found and what was expected
 */
export async function readCocoBoxes(file: string): Promise<Box[]> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    const found = error.code === "ENOENT" ? "no such file" : error.message;
    throw new CocoError(file, "", `${found}, expected COCO JSON`);
  });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new CocoError(file, "", `not valid JSON (${(error as Error).message})`);
  }
  const annotations = Array.isArray(parsed)
    ? parsed
    : (parsed as { annotations?: unknown } | null)?.annotations;
  if (!Array.isArray(annotations)) {
    throw new CocoError(file, "annotations", "is missing, expected a list of objects with a bbox");
  }
  return annotations.map((annotation: unknown, i) => boxOf(annotation, file, `annotations[${i}].bbox`));
}

function boxOf(annotation: unknown, file: string, where: string): Box {
  const bbox = (annotation as { bbox?: unknown } | null)?.bbox;
  const numbers = Array.isArray(bbox) && bbox.every((v) => typeof v === "number" && Number.isFinite(v));
  if (!numbers || bbox.length !== 4 || bbox[2] <= 0 || bbox[3] <= 0) {
    const found = bbox === undefined ? "nothing" : JSON.stringify(bbox);
    throw new CocoError(file, where, `found ${found}, expected x, y, width and height above 0`);
  }
  const [x, y, width, height] = bbox as [number, number, number, number];
  return [x, y, x + width, y + height];
}
