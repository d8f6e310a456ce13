import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pixels } from "@mask-llava/models";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkOutputs, writeOutputs } from "./output-files.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mask-llava-outputs-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const picture = () => pixels(2, 2, 1, Uint8Array.of(0, 255, 255, 0));
const tensors = () => ({ a: { shape: [2], data: Float32Array.of(1, 2) } });
const masks = () => [
  { name: "mask-001.png", picture: picture() },
  { name: "mask-002.png", picture: picture() },
];
const never = new AbortController().signal;

function flagsIn(at: string) {
  return {
    saveTensors: join(at, "out.safetensors"),
    savePicture: join(at, "out.png"),
    saveCoco: join(at, "out.json"),
    saveMasks: join(at, "masks"),
  };
}

describe("output files", () => {
  test("are all written, under their own names alone", async () => {
    await writeOutputs(flagsIn(folder), { tensors, picture, coco: () => ({ images: [] }), masks }, never);
    expect(readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted()).toEqual([
      ...["masks", "masks/mask-001.png", "masks/mask-002.png"],
      ...["out.json", "out.png", "out.safetensors"],
    ]);
    expect(readFileSync(join(folder, "out.json"), "utf8")).toBe('{"images":[]}\n');
  });

  test("are none where one of them cannot be made", async () => {
    const coco = () => {
      throw new Error("no such thing");
    };
    const work = writeOutputs(flagsIn(folder), { tensors, picture, coco, masks }, never);
    await expect(work).rejects.toThrow(/--save-coco .*out\.json: cannot be written: no such thing/);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("are none after an interruption, and what was there stays", async () => {
    const controller = new AbortController();
    writeFileSync(join(folder, "out.png"), "before");
    const interrupting = () => {
      controller.abort(new Error("interrupted"));
      return picture();
    };
    const work = writeOutputs(
      flagsIn(folder),
      { tensors, picture: interrupting, coco: () => ({}), masks },
      controller.signal,
    );
    await expect(work).rejects.toThrow("interrupted");
    expect(readdirSync(folder)).toEqual(["out.png"]);
    expect(readFileSync(join(folder, "out.png"), "utf8")).toBe("before");
  });

  test("are none where a folder has the name of one of them", async () => {
    mkdirSync(join(folder, "masks", "mask-002.png"), { recursive: true });
    writeFileSync(join(folder, "out.png"), "before");
    const work = writeOutputs(flagsIn(folder), { tensors, picture, coco: () => ({}), masks }, never);
    await expect(work).rejects.toThrow(/^--save-masks .*mask-002\.png: is a folder, expected a file's name$/);
    expect(readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted()).toEqual([
      ...["masks", "masks/mask-002.png", "out.png"],
    ]);
    expect(readFileSync(join(folder, "out.png"), "utf8")).toBe("before");
  });

  test("may not replace what is read, also by another name", async () => {
    writeFileSync(join(folder, "in.png"), "");
    symlinkSync("in.png", join(folder, "link.png"));
    const flags = { savePicture: join(folder, "link.png") };
    await expect(checkOutputs(flags, [join(folder, "in.png")])).rejects.toThrow(
      /would replace a file that is read/,
    );
  });

  test("may not replace a file in a sub-folder of the model", async () => {
    mkdirSync(join(folder, "vision"));
    writeFileSync(join(folder, "vision", "config.json"), "{}");
    const flags = { model: folder, saveCoco: join(folder, "vision", "config.json") };
    await expect(checkOutputs(flags, [])).rejects.toThrow(/--save-coco .* would replace a file of the model/);
  });
});
