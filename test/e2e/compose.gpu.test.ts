import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pixels } from "@mask-llava/models";
import { encodePng } from "@mask-llava/models/node";
import { type AskOutput, type CocoDocument, type ComposeOutput, decodeRle } from "mask-llava";
import { beforeAll, describe, expect, test } from "vitest";
import { savedMaskLlava } from "./mask-llava-folder.ts";
import { pngSize, relativeValues, runModel, type Tensors } from "./model-runs.ts";
import { filesBelow, fixture, keptFolder, sharedDeviceCli, temporaryFolder, tensor } from "./support.ts";

const cli = sharedDeviceCli();
const picture = fixture("sam-window-divides", "picture.png");
const [width, height] = [65, 43];

let model: string;
let flags: string[];
const folder = keptFolder();
beforeAll(async () => {
  model = await savedMaskLlava(folder());
  flags = ["--model", model];
});

/** A mask file of the picture's size whose pixels within a rectangle are white. */
async function maskFile(to: string, [x0, y0, x1, y1]: readonly number[]): Promise<string> {
  const inside = (i: number) =>
    i % width >= x0! && i % width < x1! && i / width >= y0! && Math.floor(i / width) < y1!;
  const data = Uint8Array.from({ length: width * height }, (_, i) => (inside(i) ? 255 : 0));
  writeFileSync(to, await encodePng(pixels(height, width, 1, data)));
  return to;
}

function compose(...extra: string[]) {
  return runModel<ComposeOutput>(cli, "compose", picture, ...flags, ...extra);
}

const boxes = ["--box", "2,3,30,40", "--box", "20,5,60,25", "--box", "40,20,64,42"];

describe("compose", () => {
  let everything: ReturnType<typeof compose> | undefined;
  /** What the boxes give without a budget: made by the first test that asks. */
  const unbounded = () => {
    everything ??= compose(...boxes);
    return everything;
  };

  test("keeps [CLS], the checkpoint's grid, all objects and the background without a budget", async () => {
    const { output, tensors } = await compose();
    const { tokens, cls, patches, objects } = output.composition;
    expect(tokens.kept).toBe(tokens.available);
    expect({ cls, patches }).toEqual({ cls: true, patches: [3, 3, 3] });
    expect(objects.every(({ kept }) => kept)).toBe(true);
    expect(objects.at(-1)?.kind).toBe("background");
    expect(Object.keys(tensors).toSorted()).toEqual(
      ["boxes", "masks", "object_scores", "token_kinds", "visual_embeds", "visual_tokens"].toSorted(),
    );
    expectConsistent(tensors, output);
  });

  test.each([1, 2, 6, 9, 12])(
    "a budget of %i keeps exactly so many, the same numbers as in the full set",
    async (n) => {
      const { output, tensors } = await compose(...boxes, "--tokens", String(n));
      expect(output.composition.tokens).toEqual({ kept: n, available: 14 });
      expect(tensor(tensors, "visual_tokens").shape[0]).toBe(n);
      expectConsistent(tensors, output);
      const full = await unbounded();
      const objectRows = (all: Tensors, name: string) => {
        const { shape, values } = tensor(all, name);
        const kinds = [...tensor(all, "token_kinds").values];
        const size = shape[1] as number;
        return kinds.flatMap((kind, i) => (kind >= 2 ? [values.slice(i * size, (i + 1) * size)] : []));
      };
      const kept = output.composition.objects.flatMap((object, i) => (object.kept ? [i] : []));
      for (const name of ["visual_tokens", "visual_embeds"]) {
        const all = objectRows(full.tensors, name);
        for (const [row, index] of kept.entries()) {
          const ours = objectRows(tensors, name)[row] ?? [];
          expect(relativeValues(ours, all[index] ?? [])).toBeLessThanOrEqual(1e-5);
        }
      }
    },
  );

  test("--objects, --patch-grid, --no-cls and --no-background", async () => {
    const { output, tensors } = await compose(
      ...boxes,
      ...["--objects", "1", "--patch-grid", "2x1", "--no-cls", "--no-background"],
    );
    expect([...tensor(tensors, "token_kinds").values]).toEqual([1, 1, 2]);
    expect(output.composition).toMatchObject({ cls: false, patches: [1, 1] });
    expectConsistent(tensors, output);
  });

  test("--no-patches leaves [CLS] and the objects", async () => {
    const { output, tensors } = await compose(...boxes, "--no-patches", "--tokens", "4");
    expect([...tensor(tensors, "token_kinds").values]).toEqual([0, 2, 2, 2]);
    expect(output.composition).toMatchObject({ cls: true, patches: [] });
    expectConsistent(tensors, output);
  });

  test("--drop-policy says which objects stay", async () => {
    const kept = async (...extra: string[]) => {
      const { output } = await compose(...boxes, "--objects", "1", "--no-background", ...extra);
      return output.composition.objects.findIndex((object) => object.kept);
    };
    expect(await kept("--drop-policy", "score")).toBe(0);
    const areas = (await unbounded()).output.composition.objects.slice(0, 3).map(({ area }) => area);
    expect(await kept("--drop-policy", "area")).toBe(areas.indexOf(Math.max(...areas)));
    const seeds = ["0", "1", "2", "3", "4", "5", "6", "7"];
    const drawn = await Promise.all(seeds.map((seed) => kept("--drop-policy", "random", "--seed", seed)));
    expect(new Set(drawn).size).toBeGreaterThan(1);
    expect(await kept("--drop-policy", "random", "--seed", "3")).toBe(drawn[3]);
  });

  test("masks that are given are the objects", async () => {
    const at = temporaryFolder();
    const rectangles = [
      [0, 0, 20, 43],
      [30, 10, 65, 30],
    ] as const;
    const files = await Promise.all(rectangles.map((r, i) => maskFile(join(at, `${i}.png`), r)));
    const { output, tensors } = await compose(...files.flatMap((file) => ["--mask", file]));
    expect(output.composition.objects.map(({ box }) => box).slice(0, 2)).toEqual(rectangles);
    expect(tensor(tensors, "masks").shape).toEqual([3, height, width]);
    expectConsistent(tensors, output);
  });

  test("the boxes of a COCO file are taken as those of the command line", async () => {
    const file = join(temporaryFolder(), "boxes.json");
    const saved = await compose(...boxes, "--save-coco", file);
    const read = await compose("--boxes", file);
    expect(read.output.composition).toEqual(saved.output.composition);
    expect(read.tensors).toEqual(saved.tensors);
  });

  test("nothing detected: [CLS], patches, and a background of everything", async () => {
    const at = temporaryFolder();
    const blind = await savedMaskLlava(at, { settings: { objects: { score_threshold: 1 } } });
    const png = join(at, "sheet.png");
    const { output, tensors } = await runModel<ComposeOutput>(
      cli,
      ...["compose", picture, "--model", blind, "--save-picture", png],
    );
    expect(output.composition.objects.map(({ kind, area }) => [kind, area])).toEqual([["background", 1]]);
    expect(tensor(tensors, "token_kinds").values.length).toBe(1 + 9 + 1);
    expect(output.coco.annotations).toEqual([]);
    expect(pngSize(png).width).toBe(1296);
  });

  test("the sheet, the masks and the COCO file hold what the object tells", async () => {
    const at = temporaryFolder();
    const [png, masks, coco] = ["sheet.png", "masks", "objects.json"].map((file) => join(at, file)) as [
      string,
      string,
      string,
    ];
    const files = ["--save-picture", png, "--save-masks", masks, "--save-coco", coco];
    const { output } = await compose(...boxes, "--tokens", "6", ...files);
    expect(pngSize(png).width).toBe(1296);
    expect(filesBelow(masks)).toEqual(["background.png", "mask-001.png", "mask-002.png", "mask-003.png"]);
    const document = JSON.parse(readFileSync(coco, "utf8")) as CocoDocument;
    expect(document).toEqual(output.coco);
    expect(document.annotations.map(({ segmentation }) => segmentation)).toEqual(
      output.composition.objects.slice(0, 3).map(({ mask }) => mask),
    );
  });
});

/** The file's tensors say the same as the object of `--json`. */
function expectConsistent(tensors: Tensors, { composition }: ComposeOutput): void {
  const kept = composition.objects.filter((object) => object.kept);
  const patches = composition.patches.reduce((a, b) => a + b, 0);
  expect([...tensor(tensors, "token_kinds").values]).toEqual([
    ...(composition.cls ? [0] : []),
    ...Array<number>(patches).fill(1),
    ...kept.map(({ kind }) => (kind === "background" ? 3 : 2)),
  ]);
  expect(tensor(tensors, "visual_embeds").shape[0]).toBe(composition.tokens.kept);
  expect(tensor(tensors, "visual_embeds").values.every(Number.isFinite)).toBe(true);
  const f32 = (values: readonly number[]) => [...Float32Array.from(values)];
  expect([...tensor(tensors, "boxes").values]).toEqual(f32(kept.flatMap(({ box }) => [...box])));
  expect([...tensor(tensors, "object_scores").values]).toEqual(f32(kept.map(({ score }) => score)));
  const masks = tensor(tensors, "masks");
  expect(masks.shape).toEqual([kept.length, height, width]);
  const size = width * height;
  for (const [i, { mask }] of kept.entries()) {
    expect([...masks.values.subarray(i * size, (i + 1) * size)]).toEqual([...decodeRle(mask).data]);
  }
}

describe("ask with a Mask-LLaVA checkpoint", () => {
  test("answers from the tokens of the budget, and tells both", async () => {
    const argv = [
      "ask",
      picture,
      "What is it?",
      ...flags,
      ...boxes,
      "--tokens",
      "8",
      "--max-new-tokens",
      "6",
    ];
    const { output, tensors } = await runModel<AskOutput>(cli, ...argv);
    expect(output.tokens.visual).toBe(8);
    expect(output.composition?.tokens).toEqual({ kept: 8, available: 14 });
    expect(tensor(tensors, "visual_embeds").shape[0]).toBe(8);
    const ids = [...tensor(tensors, "input_ids").values];
    expect(ids.filter((id) => id === 575)).toHaveLength(8);
    expect(tensor(tensors, "logits").shape.slice(0, 2)).toEqual([1, ids.length]);
    expect(tensor(tensors, "sequences").shape).toEqual([1, ids.length + output.tokens.new]);
    expect(tensor(tensors, "pixel_values").shape).toEqual([1, 3, 40, 40]);
    const tokens = await compose(...boxes, "--tokens", "8");
    expect([...tensor(tensors, "visual_embeds").values]).toEqual([
      ...tensor(tokens.tensors, "visual_embeds").values,
    ]);
  });

  test("streams the answer to stdout, and draws the sheet with it", async () => {
    const png = join(temporaryFolder(), "sheet.png");
    const argv = ["ask", picture, "What is it?", ...flags, "--max-new-tokens", "5"];
    const streamed = await cli(...argv, "--save-picture", png);
    const told = await runModel<AskOutput>(cli, ...argv);
    expect(streamed.code).toBe(0);
    expect(streamed.stdout).toBe(`${told.output.answer}\n`);
    expect(pngSize(png).width).toBe(1296);
  });

  test("a prompt verbatim", async () => {
    const prompt = "USER: <image>\nWhat? ASSISTANT:";
    const argv = ["ask", picture, prompt, "--raw-prompt", ...flags, "--tokens", "3", "--max-new-tokens", "2"];
    const { output } = await runModel<AskOutput>(cli, ...argv);
    expect(output.prompt).toBe(prompt);
    expect(output.tokens.visual).toBe(3);
  });
});
