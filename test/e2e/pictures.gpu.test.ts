import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pixels } from "@mask-llava/models";
import { encodePng } from "@mask-llava/models/node";
import { describe, expect, test } from "vitest";
import { pngClaiming } from "./broken.ts";
import { describeFailures, picture, type Row, type Says } from "./failures.ts";
import { fixture, onAdapter, sharedDeviceCli, temporaryFolder } from "./support.ts";

/** `encode` and `ask` with the picture that `make` puts into the folder. */
function badPicture(what: string, make: (folder: string) => string, says: Says): Row {
  return [
    what,
    (place) => ["encode", make(place.folder), "--model", fixture("clip-gelu"), ...place.out, ...onAdapter],
    says,
  ];
}
function pictureFile(name: string, content: string | Uint8Array): (folder: string) => string {
  return (folder) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
}
const pictureRows: readonly Row[] = [
  badPicture("no such picture", (folder) => join(folder, "none.png"), ["none.png", "no such file"]),
  badPicture("a folder for a picture", (folder) => folder, ["a folder", "expected a picture file"]),
  badPicture("an empty picture", pictureFile("empty.png", ""), ["empty.png", "empty"]),
  badPicture("a text for a picture", pictureFile("text.png", "Hello, world!"), [
    "text.png",
    "Hello, world",
    "expected JPEG, PNG",
  ]),
  badPicture("a checkpoint for a picture", () => fixture("clip-gelu", "model.safetensors"), [
    "model.safetensors",
    "expected JPEG, PNG",
  ]),
  badPicture("a PNG cut short", () => fixture("images", "truncated.png"), ["truncated.png", "cut short"]),
  badPicture("a JPEG cut short", () => fixture("images", "truncated.jpg"), ["truncated.jpg", "cut short"]),
  badPicture("a head of a PNG alone", pictureFile("head.png", "\x89PNG\r\n\x1a\n"), ["head.png"]),
  badPicture("a decompression bomb", pictureFile("bomb.png", pngClaiming(60000, 60000)), [
    "bomb.png",
    "60000x60000",
    "expected at most",
  ]),
  badPicture("a PNG with less data than it claims", pictureFile("short.png", pngClaiming(500, 500)), [
    "short.png",
  ]),
  [
    "a second picture that is none",
    ({ out }) => [
      ...["ask", picture, "What?", "--image", fixture("llava-default", "config.json")],
      ...["--model", fixture("llava-default"), ...out, ...onAdapter],
    ],
    ["config.json", "not a picture"],
  ],
];

describeFailures("a bad picture", pictureRows);

const cli = sharedDeviceCli();

describe("odd pictures work", () => {
  const odd = [
    ...["pixel.png", "row.png", "column.png", "bilevel.png", "palette.png", "palette-transparent.png"],
    ...["grey.png", "grey-alpha.png", "grey16.png", "rgb16.png", "rgba.png", "rgba16.png", "grey.jpg"],
    ...["cmyk.jpg", "exif6.jpg", "photo-422-progressive.jpg", "still.gif", "first-frame.gif"],
    ...["lossy.webp", "lossless-alpha.webp"],
  ];
  test.each(odd)("%s", (name) => expectEmbedding(fixture("images", name)));

  test.each([
    [20000, 1],
    [1, 20000],
    [1, 1],
  ])("%i x %i pixels", async (width, height) => {
    const file = join(temporaryFolder(), "long.png");
    const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7919) % 251);
    writeFileSync(file, await encodePng(pixels(height, width, 3, data)));
    await expectEmbedding(file);
  });
});

/** The picture has an embedding: L2-normalised, and none of its numbers NaN. */
async function expectEmbedding(file: string): Promise<void> {
  const { code, stdout, stderr } = await cli("encode", file, "--model", fixture("clip-gelu"));
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  const numbers = stdout.trim().split(" ").map(Number);
  expect(numbers).toHaveLength(27);
  expect(Math.hypot(...numbers)).toBeCloseTo(1, 4);
}
