import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeGrey } from "@mask-llava/models/node";
import { type CocoDocument, decodeRle, type SegmentOutput } from "mask-llava";
import { describe, expect, test } from "vitest";
import { expectNear, pngSize, relativeValues, runModel } from "./model-runs.ts";
import {
  expectation,
  filesBelow,
  fixture,
  loadTensors,
  sharedDeviceCli,
  temporaryFolder,
  tensor,
} from "./support.ts";

const cli = sharedDeviceCli();

interface Expectation {
  picture: string;
  prompts: {
    boxes: { input_boxes: number[][][] };
    point: { input_points: number[][][][]; input_labels: number[][][] };
    points: { input_points: number[][][][]; input_labels: number[][][] };
  };
}

describe.each(["sam-window-divides", "sam-window-pads"])("segment with %s", (name) => {
  const { picture, prompts } = expectation<Expectation>(name);
  const argv = ["segment", fixture(name, picture), "--model", fixture(name)];
  const boxes = (prompts.boxes.input_boxes[0] ?? []).flatMap((box) => ["--box", box.join(",")]);
  const clicks = (kind: "point" | "points") => {
    const { input_points: points, input_labels: labels } = prompts[kind];
    return (points[0]?.[0] ?? []).flatMap((at, i) => ["--point", [...at, labels[0]?.[0]?.[i]].join(",")]);
  };

  test("gives the numbers of transformers for boxes, each a prompt", async () => {
    const { tensors } = await runModel<SegmentOutput>(cli, ...argv, ...boxes);
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    const shape = (key: string) => tensor(expected, key).shape;
    expectNear(tensors, expected, {
      pixel_values: ["pixel_values", shape("pixel_values")],
      image_embeddings: ["image_embeddings", shape("image_embeddings")],
      pred_masks: ["boxes.pred_masks", shape("boxes.pred_masks").slice(1)],
      iou_scores: ["boxes.iou_scores", [2, 3]],
      mask_logits: ["boxes.masks", shape("boxes.masks")],
    });
    expect(Object.keys(tensors).toSorted()).toEqual(
      ["image_embeddings", "iou_scores", "mask_logits", "pixel_values", "pred_masks"].toSorted(),
    );
  });

  test.each(["point", "points"] as const)(
    "gives the numbers of transformers for %s, all of them one prompt",
    async (kind) => {
      const { tensors, output } = await runModel<SegmentOutput>(cli, ...argv, ...clicks(kind));
      const expected = await loadTensors(fixture(name, "expect.safetensors"));
      const theirs = tensor(expected, `${kind}.pred_masks`);
      const found = tensor(tensors, "pred_masks");
      expect(found.shape).toEqual([1, ...theirs.shape.slice(2)]);
      // the first of their prompts
      expect(relativeValues(found.values, theirs.values.slice(0, found.values.length))).toBeLessThanOrEqual(
        3e-4,
      );
      const iou = tensor(expected, `${kind}.iou_scores`).values.slice(0, 3);
      expect(relativeValues(tensor(tensors, "iou_scores").values, iou)).toBeLessThanOrEqual(3e-4);
      expect(output.masks).toHaveLength(1);
    },
  );

  test("boxes and points together: the boxes, then one prompt of all points", async () => {
    const { tensors, output } = await runModel<SegmentOutput>(cli, ...argv, ...boxes, ...clicks("point"));
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    const both = [
      ...tensor(expected, "boxes.pred_masks").values,
      ...tensor(expected, "point.pred_masks").values,
    ];
    expect(tensor(tensors, "pred_masks").shape[0]).toBe(3);
    expect(relativeValues(tensor(tensors, "pred_masks").values, both)).toBeLessThanOrEqual(3e-4);
    expect(output.masks.map(({ prompt }) => Object.keys(prompt)[0])).toEqual(["box", "box", "points"]);
  });

  test("the best mask of each prompt is the same as logits, run lengths, PNG and COCO JSON", async () => {
    const folder = temporaryFolder();
    const [png, masks, coco] = ["sheet.png", "masks", "masks.json"].map((file) => join(folder, file)) as [
      string,
      string,
      string,
    ];
    const files = ["--save-picture", png, "--save-masks", masks, "--save-coco", coco];
    const { tensors, output } = await runModel<SegmentOutput>(cli, ...argv, ...boxes, ...files);
    const logits = tensor(tensors, "mask_logits");
    const size = (logits.shape[2] as number) * (logits.shape[3] as number);
    for (const [i, { best, iouScores, mask, area }] of output.masks.entries()) {
      expect(iouScores[best]).toBe(Math.max(...iouScores));
      const own = logits.values.subarray((i * 3 + best) * size, (i * 3 + best + 1) * size);
      const binary = Array.from(own, (v) => (v > 0 ? 1 : 0));
      expect([...decodeRle(mask).data]).toEqual(binary);
      expect(area).toBe(binary.reduce<number>((a, b) => a + b, 0));
      const saved = await decodeGrey(join(masks, `mask-00${i + 1}.png`));
      expect(Array.from(saved.data, (v) => v / 255)).toEqual(binary);
    }
    const document = JSON.parse(readFileSync(coco, "utf8")) as CocoDocument;
    expect(document).toEqual(output.coco);
    expect(document.annotations.map(({ segmentation, area }) => ({ segmentation, area }))).toEqual(
      output.masks.map(({ mask, area }) => ({ segmentation: mask, area })),
    );
    expect(pngSize(png).width).toBeGreaterThanOrEqual(720);
    expect(filesBelow(folder).filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });
});
