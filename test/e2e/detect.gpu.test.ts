import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { CocoDocument, DetectOutput } from "mask-llava";
import { describe, expect, test } from "vitest";
import { bound, expectNear, pngSize, runModel } from "./model-runs.ts";
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

describe.each(["detr-single", "detr-multi", "detr-refine", "detr-two-stage"])("detect with %s", (name) => {
  const { picture, labels } = expectation<{ picture: string; labels: string[] }>(name);
  const file = fixture(name, picture);
  const flags = ["--model", fixture(name)];

  test("gives the numbers of transformers", async () => {
    const argv = ["detect", file, ...flags, "--threshold", "0", "--top-k", "10"];
    const { output, tensors } = await runModel<DetectOutput>(cli, ...argv);
    const expected = await loadTensors(fixture(name, "expect.safetensors"));
    const shape = (key: string) => tensor(expected, key).shape;
    const same = ["pixel_values", "logits", "pred_boxes", "encoder_last_hidden_state", "last_hidden_state"];
    expectNear(tensors, expected, {
      ...Object.fromEntries(same.map((key) => [key, [key, shape(key)] as const])),
      scores: ["post.scores", [10]],
      boxes: ["post.boxes", [10, 4]],
    });
    expect(Object.keys(tensors).toSorted()).toEqual([...same, "scores", "labels", "boxes"].toSorted());
    const found = tensor(tensors, "labels");
    expect(found.dtype).toBe("I32");
    expect([...found.values]).toEqual([...tensor(expected, "post.labels").values]);
    expect(output.view).toBe("classes");
    const values = [...tensor(tensors, "boxes").values];
    expect(output.detections).toEqual(
      Array.from(found.values, (label, i) => ({
        box: values.slice(4 * i, 4 * i + 4),
        score: tensor(tensors, "scores").values[i],
        label,
        name: labels[label],
      })),
    );
  });
});

describe("detect", () => {
  const file = fixture("detr-refine", "picture.png");
  const argv = ["detect", file, "--model", fixture("detr-refine")];

  test("tells one box an object within the picture, best first, in every form", async () => {
    const folder = temporaryFolder();
    const [png, coco] = [join(folder, "boxes.png"), join(folder, "boxes.json")];
    const { output } = await runModel<DetectOutput>(cli, ...argv, "--save-picture", png, "--save-coco", coco);
    const { detections, picture } = output;
    expect(output.view).toBe("objects");
    expect(detections.length).toBeGreaterThan(2);
    expect(detections.map(({ score }) => score)).toEqual(
      detections.map(({ score }) => score).toSorted((a, b) => b - a),
    );
    for (const { box, score } of detections) {
      const [x0, y0, x1, y1] = box;
      expect(score).toBeGreaterThan(0.3);
      expect(0 <= x0 && x0 < x1 && x1 <= picture.width && 0 <= y0 && y0 < y1 && y1 <= picture.height).toBe(
        true,
      );
    }
    const document = JSON.parse(readFileSync(coco, "utf8")) as CocoDocument;
    expect(document).toEqual(output.coco);
    expect(
      document.annotations.map(({ bbox: [x, y, w, h], score, category_id, area }) => ({
        x,
        y,
        x1: x + w,
        y1: y + h,
        score,
        category_id,
        area,
      })),
    ).toEqual(
      detections.map(({ box: [x, y, x1, y1], score, label }) => ({
        x,
        y,
        x1: expect.closeTo(x1, 4),
        y1: expect.closeTo(y1, 4),
        score,
        category_id: label,
        area: expect.closeTo((x1 - x) * (y1 - y), 2),
      })),
    );
    expect(document.categories.map(({ name }) => name)).toEqual(
      expectation<{ labels: string[] }>("detr-refine").labels,
    );
    expect(pngSize(png).width).toBeGreaterThanOrEqual(720);
    expect(filesBelow(folder)).toEqual(["boxes.json", "boxes.png"]);
  });

  test("a lower --nms leaves fewer boxes, and 1 leaves them all", async () => {
    const counts: number[] = [];
    for (const nms of ["0.1", "0.5", "1"]) {
      const { output } = await runModel<DetectOutput>(cli, ...argv, "--threshold", "0", "--nms", nms);
      counts.push(output.detections.length);
    }
    const [few = 0, some = 0, all = 0] = counts;
    expect(few).toBeLessThan(all);
    expect(some).toBeLessThanOrEqual(all);
    expect(few).toBeLessThanOrEqual(some);
  });

  test("without any detection works, and says so", async () => {
    const folder = temporaryFolder();
    const [png, coco] = [join(folder, "none.png"), join(folder, "none.json")];
    const extra = ["--threshold", "1", "--save-picture", png, "--save-coco", coco];
    const { output, tensors, stderr } = await runModel<DetectOutput>(cli, ...argv, ...extra);
    expect(output.detections).toEqual([]);
    expect(stderr).toContain("no objects were found");
    expect(tensor(tensors, "scores").shape).toEqual([0]);
    expect(tensor(tensors, "boxes").shape).toEqual([0, 4]);
    expect((JSON.parse(readFileSync(coco, "utf8")) as CocoDocument).annotations).toEqual([]);
    expect(pngSize(png).width).toBeGreaterThanOrEqual(720);
  });

  test("a line a detection on stdout", async () => {
    const { code, stdout } = await cli(...argv, "--top-k", "3", "--threshold", "0");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^(0\.\d{3} {2}\w+ {2}-?\d+\.\d -?\d+\.\d -?\d+\.\d -?\d+\.\d\n){3}$/);
  });

  test("weights in f16 stay near", async () => {
    const extra = ["--threshold", "0", "--top-k", "10", "--dtype", "f16"];
    const { tensors } = await runModel<DetectOutput>(cli, ...argv, ...extra);
    const expected = await loadTensors(fixture("detr-refine", "expect.safetensors"));
    // convolutions are rounded to 11 bits again when the norms behind them are folded in: 2^-11 relative each, not summed up
    expectNear(tensors, expected, { logits: ["logits", [1, 10, 7], 10 * bound] });
  });
});
