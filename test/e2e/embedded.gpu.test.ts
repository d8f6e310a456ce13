import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AskOutput, ComposeOutput, DetectOutput, SegmentOutput } from "mask-llava";
import { describe, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { pngSize } from "./model-runs.ts";
import { onAdapter, sharedDeviceCli, temporaryFolder } from "./support.ts";

const cli = sharedDeviceCli();
const examples = fileURLToPath(new URL("../../packages/cli/assets/examples", import.meta.url));
const example = (n: number) => join(examples, `scene-${n}.jpg`);

/** What anyone sees in the example pictures, and the checkpoint too: two questions of each kind or more. */
const answers: readonly (readonly [picture: number, question: string, answer: string])[] = [
  [1, "What colour is the heart?", "purple"],
  [2, "What colour is the large cross?", "pink"],
  [1, "What shape is the purple object?", "heart"],
  [3, "What shape is the red object?", "square"],
  [3, "Is the cyan object small or large?", "large"],
  [4, "Is the star small or large?", "small"],
  [2, "Is there an orange star in the picture?", "yes"],
  [3, "Is there a ring in the picture?", "no"],
  [2, "Is there an orange cross in the picture?", "no"],
  [3, "How many blue objects are there?", "zero"],
  [4, "How many rings are there?", "one"],
  [2, "Is the large pink cross above or below the large ring?", "above"],
  [3, "Is the heart to the left or to the right of the large cyan object?", "right"],
  [1, "Are there more purple objects than yellow ones?", "yes"],
  [4, "Are there more hexagons than stars?", "no"],
  [1, "Describe the rightmost object.", "a large cyan circle"],
  [2, "Describe the leftmost object.", "a large pink ring"],
];

describe("the embedded checkpoint", () => {
  test.each(answers)("of example %i: %s %s", async (picture, question, expected) => {
    const { code, stdout, stderr } = await cli("ask", example(picture), question, "--json");
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    const { model, answer, tokens, composition } = JSON.parse(stdout) as AskOutput;
    expect(answer.trim()).toBe(expected);
    expect(model).toBeNull();
    expect(tokens.visual).toBe(composition?.tokens.available);
    expect(stderr).toContain("the embedded checkpoint answers");
  });

  test("finds four objects, cuts one out, and composes within a budget", async () => {
    const found = await cli("detect", example(1), "--json");
    const { detections } = JSON.parse(found.stdout) as DetectOutput;
    expect(detections.length).toBe(4);
    const box = (detections[0]?.box ?? []).join(",");
    const cut = await cli("segment", example(1), "--box", box, "--json");
    const { masks } = JSON.parse(cut.stdout) as SegmentOutput;
    const [x0, y0, x1, y1] = detections[0]?.box ?? [0, 0, 0, 0];
    const [a0, b0, a1, b1] = masks[0]?.box ?? [0, 0, 0, 0];
    for (const [side, other] of [
      [x0, a0],
      [y0, b0],
      [x1, a1],
      [y1, b1],
    ] as const)
      expect(Math.abs(side - other)).toBeLessThan(3);
    const composed = await cli("compose", example(1), "--tokens", "12", "--json");
    const { composition } = JSON.parse(composed.stdout) as ComposeOutput;
    expect(composition.tokens).toEqual({ kept: 12, available: 42 });
  });
});

test("a first run answers about the example, tells the tokens by kind, and saves their sheet", async () => {
  const folder = temporaryFolder();
  const { code, stdout, stderr } = await runCli(["ask", ...onAdapter], { cwd: folder });
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toBe(" a large cyan circle\n");
  expect(stderr).toMatch(/42 visual tokens: \[CLS\] · 36 patches · 4 objects · background/);
  const { width, height } = pngSize(join(folder, "mask-llava-tokens.png"));
  expect(Math.min(width, height)).toBeGreaterThan(300);
});
