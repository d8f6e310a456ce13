import type { Box } from "@mask-llava/models";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "./errors.ts";
import { filledText } from "./flags.ts";
import type { PictureOutput } from "./output.ts";

/** A click on a picture: label 1 on the object, 0 beside it. */
export interface Point {
  readonly x: number;
  readonly y: number;
  readonly label: 0 | 1;
}

/** Flags of the commands that find objects. */
export interface ObjectFileFlags {
  readonly savePicture?: string;
  readonly saveCoco?: string;
  readonly saveMasks?: string;
}

function fileFlag(flags: string, description: string, what: string): Option {
  return new Option(flags, description).argParser(filledText(what));
}

/** `--save-picture`; what is on it depends on the command. */
export function savePictureFlag(what: string): Option {
  return fileFlag("--save-picture <file>", `draw ${what}, as PNG`, "a file name");
}

/** `--save-coco`. */
export function saveCocoFlag(what: string): Option {
  return fileFlag("--save-coco <file>", `write ${what} as COCO JSON`, "a file name");
}

/** `--save-masks`. */
export function saveMasksFlag(): Option {
  return fileFlag(
    "--save-masks <dir>",
    "write each mask as a PNG of the picture's size into this folder, which is made where it is not there",
    "a folder",
  );
}

/** Numbers that commas part; undefined where one is none. Not `Number` alone, which takes "" and "0x1". */
function numbers(text: string): number[] | undefined {
  const parts = text.split(",").map((part) => part.trim());
  const values = parts.map((part) =>
    /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(part) ? Number(part) : Number.NaN,
  );
  return values.every(Number.isFinite) ? values : undefined;
}

function parseBox(text: string): Box {
  const values = numbers(text);
  if (values?.length !== 4) {
    throw new InvalidArgumentError("Expected four numbers x0,y0,x1,y1 in pixels of the picture.");
  }
  const [x0, y0, x1, y1] = values as [number, number, number, number];
  if (x0 >= x1 || y0 >= y1) {
    throw new InvalidArgumentError(
      "Expected x0 < x1 and y0 < y1: the left top corner and the right bottom one.",
    );
  }
  return [x0, y0, x1, y1];
}

function parsePoint(text: string): Point {
  const values = numbers(text);
  if (values?.length !== 3) {
    throw new InvalidArgumentError("Expected three numbers x,y,label, the place in pixels of the picture.");
  }
  const [x, y, label] = values as [number, number, number];
  if (label !== 0 && label !== 1) {
    throw new InvalidArgumentError("Expected the label 1 for a point on the object, 0 for one beside it.");
  }
  return { x, y, label };
}

function repeated<T>(flags: string, description: string, parse: (text: string) => T): Option {
  return new Option(flags, `${description} (may be repeated)`).argParser(
    (text, before: readonly T[] | undefined) => [...(before ?? []), parse(text)],
  );
}

/** `--box`, any number of them. */
export function boxFlag(what: string): Option {
  return repeated("--box <x0,y0,x1,y1>", what, parseBox);
}

/** `--point`, any number of them. */
export function pointFlag(what: string): Option {
  return repeated("--point <x,y,label>", what, parsePoint);
}

/** Throws a UsageError for a box that is not within the picture. */
export function checkBoxesWithin(
  boxes: readonly Box[],
  { width, height }: PictureOutput,
  flag = "--box",
): void {
  for (const box of boxes) {
    const [x0, y0, x1, y1] = box;
    if (x0 >= 0 && y0 >= 0 && x1 <= width && y1 <= height) continue;
    throw new UsageError(
      `${flag} ${box.join(",")}: reaches beyond the picture, expected 0 <= x <= ${width} and 0 <= y <= ${height}`,
    );
  }
}

/** Throws a UsageError for a point that is not within the picture. */
export function checkPointsWithin(points: readonly Point[], { width, height }: PictureOutput): void {
  for (const { x, y, label } of points) {
    if (x >= 0 && y >= 0 && x <= width && y <= height) continue;
    throw new UsageError(
      `--point ${x},${y},${label}: lies beside the picture, expected 0 <= x <= ${width} and 0 <= y <= ${height}`,
    );
  }
}

/** Adds several options. */
export function addOptions(command: Command, ...options: readonly Option[]): Command {
  return options.reduce((c, option) => c.addOption(option), command);
}
