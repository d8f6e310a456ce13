import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeImage } from "@mask-llava/models/node";
import {
  type DatasetDescription,
  decodeRle,
  drawScene,
  run,
  type SceneAnnotation,
  type SceneQuestion,
  type Split,
  splits,
} from "mask-llava";
import { beforeAll, describe, expect, test } from "vitest";
import { bin, runCli, runProgram } from "../support/cli.ts";
import { answerOf, sentence } from "./scene-answers.ts";
import { cli, filesBelow, keptFolder, temporaryFolder } from "./support.ts";

const count = 400;
const folder = keptFolder();
let dataset: DatasetDescription;
let scenes: SceneAnnotation[];
let questions: SceneQuestion[];
let told: { scenes: number; objects: number; questions: Record<string, number>; bytes: number };

const dataFolder = () => join(folder(), "scenes");

function annotationsOf(data: string): SceneAnnotation[] {
  const lines = readFileSync(join(data, "annotations.jsonl"), "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as SceneAnnotation);
}

/** How often each value occurs. */
function tally<T extends string | number>(values: readonly T[]): Map<T, number> {
  const result = new Map<T, number>();
  for (const value of values) result.set(value, (result.get(value) ?? 0) + 1);
  return result;
}

beforeAll(async () => {
  const { code, stdout, stderr } = await cli(
    ...["scenes", "--seed", "11", "--count", String(count), "--out", dataFolder(), "--json"],
  );
  expect(code, stderr).toBe(0);
  told = JSON.parse(stdout);
  dataset = JSON.parse(readFileSync(join(dataFolder(), "dataset.json"), "utf8"));
  scenes = annotationsOf(dataFolder());
  questions = scenes.flatMap((scene) => scene.questions);
});

describe("a data set of scenes", () => {
  test("holds what dataset.json and --json say, and nothing else", () => {
    expect(dataset).toMatchObject({
      ...{ format: "mask-llava-scenes", version: 1, seed: 11, split: "test", count, image_size: 96 },
      vocabulary: { sizes: ["small", "large"] },
    });
    expect(scenes).toHaveLength(count);
    const images = scenes.map(({ image }) => image);
    expect(filesBelow(dataFolder())).toEqual(
      ["annotations.jsonl", "dataset.json", "images", ...images].toSorted(),
    );
    expect(readdirSync(folder())).toEqual(["scenes"]);
    expect(told).toMatchObject({
      scenes: count,
      objects: scenes.reduce((sum, { objects }) => sum + objects.length, 0),
      questions: Object.fromEntries(tally(questions.map(({ kind }) => kind))),
    });
    const ids = questions.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("has pictures that are those drawn, but for the artefacts of JPEG", async () => {
    for (const index of [0, 7, 42]) {
      const { picture } = drawScene({ seed: 11, split: "test", imageSize: 96 }, index);
      const decoded = await decodeImage(join(dataFolder(), scenes[index]?.image ?? ""));
      expect([decoded.height, decoded.width]).toEqual([96, 96]);
      const off = decoded.data.reduce((sum, value, i) => sum + Math.abs(value - (picture.data[i] ?? 0)), 0);
      // quality 45 with halved chroma is off by up to about 8 of 255 on noisy pictures; another picture by more than 30
      expect(off / decoded.data.length).toBeLessThan(12);
      expect(off).toBeGreaterThan(0);
    }
  });

  test("has disjoint masks, with boxes and visible shares that are those of the masks", () => {
    for (const { objects, width, height } of scenes) {
      expect(objects.length).toBeGreaterThanOrEqual(1);
      expect(objects.length).toBeLessThanOrEqual(8);
      const taken = new Uint8Array(width * height);
      for (const { box, full_box: full, mask, visible_fraction: visible, rotation } of objects) {
        const { data } = decodeRle(mask);
        const inside = Array.from(data.keys()).filter((i) => data[i]);
        const [xs, ys] = [inside.map((i) => i % width), inside.map((i) => Math.floor(i / width))];
        expect(box).toEqual([Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1]);
        expect(full[0] <= box[0] && full[1] <= box[1] && full[2] >= box[2] && full[3] >= box[3]).toBe(true);
        // whole objects lie within the picture
        expect(Math.min(full[0], full[1], width - full[2], height - full[3])).toBeGreaterThanOrEqual(0);
        if (visible === 1) expect(full).toEqual(box);
        expect(visible).toBeGreaterThanOrEqual(0.45);
        expect(visible).toBeLessThanOrEqual(1);
        const whole = inside.length / visible;
        // a share of four decimals of up to 2000 pixels tells their number to about a pixel
        expect(Math.abs(whole - Math.round(whole))).toBeLessThan(0.25);
        expect(Math.abs(rotation)).toBeLessThanOrEqual(20);
        for (const i of inside) taken[i] = (taken[i] ?? 0) + 1;
      }
      expect(Math.max(...taken)).toBe(1);
    }
  });

  test("shows every object in its colour", () => {
    const hues = { red: 0, orange: 29, yellow: 53, green: 129, cyan: 184, blue: 228, purple: 280, pink: 333 };
    const drawn = scenes
      .slice(0, 100)
      .map((_, i) => drawScene({ seed: 11, split: "test", imageSize: 96 }, i));
    for (const { picture, annotation } of drawn) {
      for (const { mask, colour } of annotation.objects) {
        const sums = [0, 0, 0];
        for (const [i, inside] of decodeRle(mask).data.entries()) {
          if (inside) for (const c of [0, 1, 2]) sums[c] = (sums[c] ?? 0) + (picture.data[3 * i + c] ?? 0);
        }
        const distance = (name: keyof typeof hues) =>
          Math.abs(((hueOf(sums) - hues[name] + 540) % 360) - 180);
        const nearest = dataset.vocabulary.colours.toSorted((a, b) => distance(a) - distance(b))[0];
        expect(nearest, `an object of scene ${annotation.id}`).toBe(colour);
      }
    }
  });

  test("has captions that list the objects from left to right", () => {
    for (const { caption, objects } of scenes) {
      const sorted = [...objects].sort((a, b) => a.box[0] + a.box[2] - b.box[0] - b.box[2]);
      expect(caption).toBe(`a picture of ${sentence(sorted)}`);
    }
  });

  test("is answered rightly, in words of the vocabulary", () => {
    const words = new Set(dataset.vocabulary.answer_words);
    for (const scene of scenes) {
      for (const { question, answer, id } of scene.questions) {
        expect(answerOf(scene, question), `${id}: ${question}`).toBe(answer);
        for (const word of answer.split(/,? /)) expect(words).toContain(word);
      }
    }
  });

  test("asks for what is there as often as for what is not, in the same forms", () => {
    const existence = questions.filter(({ kind }) => kind === "existence");
    const yes = existence.filter(({ answer }) => answer === "yes");
    expect(Math.abs(yes.length / existence.length - 0.5)).toBeLessThan(0.02);
    const words = ({ question }: SceneQuestion) => thing(question).length;
    const no = existence.filter(({ answer }) => answer === "no");
    expect(tally(no.map(words))).toEqual(tally(yes.map(words)));
    for (const [kind, n] of tally(no.map(({ negative }) => negative ?? "none"))) {
      expect(["random", "popular", "adversarial"]).toContain(kind);
      // a third of 400, within four standard deviations
      expect(Math.abs(n - count / 3)).toBeLessThan(4 * Math.sqrt((count * 2) / 9));
    }
    expect(yes.every(({ negative }) => negative === undefined)).toBe(true);
  });

  test("asks adversarially for what shares an attribute, and for popular things that are popular", () => {
    const popular = new Set<string>();
    for (const { objects, questions } of scenes) {
      const attributes = new Set<string>(objects.flatMap(({ colour, shape }) => [colour, shape]));
      for (const { negative, question } of questions) {
        const words = thing(question);
        if (negative === "adversarial") {
          expect(words).toHaveLength(2);
          expect(words.some((word) => attributes.has(word))).toBe(true);
          const both = words.every((word) => attributes.has(word));
          expect(both || !canMix(objects)).toBe(true);
        }
        if (negative === "popular" && words.length === 2 && !words.includes("object"))
          popular.add(words.join(" "));
      }
    }
    expect(popular.size).toBeLessThanOrEqual(16);
    const shown = tally(
      scenes.flatMap(({ objects }) => objects.map(({ colour, shape }) => `${colour} ${shape}`)),
    );
    const mean = (names: readonly string[]) =>
      names.reduce((sum, n) => sum + (shown.get(n) ?? 0), 0) / names.length;
    const rest = [...shown.keys()].filter((name) => !popular.has(name));
    expect(mean([...popular])).toBeGreaterThan(1.5 * mean(rest));
  });

  test("is varied: every shape, colour, size, number of objects, kind and answer occurs often enough", () => {
    const objects = scenes.flatMap((scene) => scene.objects);
    const { shapes, colours, sizes } = dataset.vocabulary;
    expect(shapes.length).toBeGreaterThanOrEqual(6);
    expect(colours.length).toBeGreaterThanOrEqual(8);
    const least = (
      values: readonly (string | number)[],
      names: readonly (string | number)[],
      share: number,
    ) => {
      const found = tally(values);
      for (const name of names)
        expect(found.get(name) ?? 0, String(name)).toBeGreaterThan(share * values.length);
    };
    least(
      objects.map(({ shape }) => shape),
      shapes,
      0.05,
    );
    least(
      objects.map(({ colour }) => colour),
      colours,
      0.05,
    );
    least(
      objects.map(({ size }) => size),
      sizes,
      0.4,
    );
    least(
      scenes.map((scene) => scene.objects.length),
      [1, 2, 3, 4, 5, 6, 7, 8],
      0.08,
    );
    least(
      questions.map(({ kind }) => kind),
      dataset.question_kinds,
      0.08,
    );
    const answers = (kind: string) => questions.filter((q) => q.kind === kind).map(({ answer }) => answer);
    least(answers("colour"), colours, 0.05);
    least(answers("shape"), shapes, 0.05);
    least(answers("size"), sizes, 0.4);
    least(answers("comparison"), ["yes", "no"], 0.42);
    least(answers("relation"), ["yes", "no", "left", "right", "above", "below"], 0.06);
    least(answers("count"), "zero one two three four five six seven eight".split(" "), 0.015);
    const hidden = objects.filter(({ visible_fraction: visible }) => visible < 0.9);
    expect(hidden.length / objects.length).toBeGreaterThan(0.15);
  });
});

/** The colour and shape, or one of them, that an existence question asks for. */
function thing(question: string): string[] {
  return question.replace(/^Is there an? (.+?)( in the picture)?\?$/, "$1").split(" ");
}

/** Whether a colour and a shape are there, but on no object together. */
function canMix(objects: SceneAnnotation["objects"]): boolean {
  const there = new Set(objects.map(({ colour, shape }) => `${colour} ${shape}`));
  return objects.some((a) => objects.some((b) => !there.has(`${a.colour} ${b.shape}`)));
}

function hueOf([r = 0, g = 0, b = 0]: readonly number[]): number {
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  const by = most - least;
  const sixth = most === r ? (g - b) / by : most === g ? 2 + (b - r) / by : 4 + (r - g) / by;
  return (60 * sixth + 360) % 360;
}

describe("the seed", () => {
  const digestOf = (split: Split, seed = 7, imageSize = 96) => {
    const hash = createHash("sha256");
    for (let i = 0; i < 5; i++) {
      const { picture, annotation, quality } = drawScene({ seed, split, imageSize }, i);
      hash.update(picture.data).update(`${quality}${JSON.stringify(annotation)}`);
    }
    return hash.digest("hex");
  };

  test("decides pixels and annotations, on every machine", () => {
    expect({
      test: digestOf("test"),
      train: digestOf("train"),
      large: digestOf("test", 4294967295, 200),
    }).toEqual({
      test: "7d0ed7eb1e0a06b413f95b41b7035e9cd9567369c94636ac8865288700dcce65",
      train: "d68c44c987acf0dfc1562c6dea529d609b75ebee01ab2c1b789248d45e3c9d60",
      large: "e8adc275c2dd48b39e4762d38000c939b957992ae6cb1a0a1309833dbd570c09",
    });
  });

  test("decides every file, and a larger count only adds scenes", async () => {
    const out = temporaryFolder();
    const draw = (name: string, n: number) =>
      cli("scenes", "--seed", "3", "--count", String(n), "--split", "train", "--out", join(out, name));
    for (const [name, n] of [
      ["a", 6],
      ["b", 6],
      ["c", 9],
    ] as const)
      expect((await draw(name, n)).code).toBe(0);
    for (const file of filesBelow(join(out, "a")).filter((name) => name !== "images")) {
      const read = (name: string) => readFileSync(join(out, name, file));
      expect(read("b").equals(read("a")), file).toBe(true);
      if (file.endsWith(".jpg")) expect(read("c").equals(read("a")), file).toBe(true);
    }
    expect(annotationsOf(join(out, "c")).slice(0, 6)).toEqual(annotationsOf(join(out, "a")));
  });

  test("is in one split alone", () => {
    const seeds = [0, 1].flatMap((seed) =>
      splits.flatMap((split) =>
        Array.from({ length: 30 }, (_, i) => drawScene({ seed, split, imageSize: 64 }, i).annotation.seed),
      ),
    );
    expect(new Set(seeds).size).toBe(seeds.length);
  });

  test("asks the same first questions whatever the number of rounds, and none twice", () => {
    for (let i = 0; i < 20; i++) {
      const [one, four] = [1, 4].map(
        (rounds) => drawScene({ seed: 7, split: "train", imageSize: 64, rounds }, i).annotation.questions,
      );
      expect(four?.slice(0, one?.length)).toEqual(one);
      expect(four?.length).toBeGreaterThan(2 * (one?.length ?? 0));
      for (const field of ["id", "question"] as const)
        expect(new Set(four?.map((asked) => asked[field])).size).toBe(four?.length);
    }
  });

  test("means a scene at any picture size", () => {
    const { annotation } = drawScene({ seed: 5, split: "test", imageSize: 336 }, 3);
    expect([annotation.width, annotation.objects[0]?.mask.size]).toEqual([336, [336, 336]]);
    for (const { question, answer } of annotation.questions)
      expect(answerOf(annotation, question)).toBe(answer);
  });
});

describe("an empty folder is filled, whatever it is", () => {
  const draw = ["scenes", "--seed", "1", "--count", "2", "--out"];
  const files = ["annotations.jsonl", "dataset.json", "images", "images/000000.jpg", "images/000001.jpg"];

  test("the folder that the command is in", async () => {
    const cwd = temporaryFolder();
    const { code, stderr } = await runCli([...draw, "."], { cwd });
    expect(code, stderr).toBe(0);
    expect(filesBelow(cwd)).toEqual(files);
  });

  test("what a link leads to", async () => {
    const place = temporaryFolder();
    mkdirSync(join(place, "folder"));
    symlinkSync("folder", join(place, "link"));
    const { code, stderr } = await cli(...draw, join(place, "link"));
    expect(code, stderr).toBe(0);
    expect(filesBelow(join(place, "folder"))).toEqual(files);
  });

  test("a mounted file system", async ({ skip }) => {
    const mount = "mount -t tmpfs none .";
    const inNamespace = (script: string, ...args: string[]) =>
      runProgram("unshare", ["--mount", "--map-root-user", "sh", "-c", script, "sh", ...args], {
        cwd: temporaryFolder(),
        env: process.env,
      });
    const mounted = await inNamespace(mount).catch((error: Error) => ({ code: 1, stderr: error.message }));
    if (mounted.code !== 0) skip(`nothing can be mounted here: ${mounted.stderr}`);
    // what is mounted is gone with the namespace, so what it holds is listed in there
    const list = `mkdir out && cd out && ${mount} && cd .. && "$@" && find out -mindepth 1 | cut -c 5- | sort >&2`;
    const { code, stderr } = await inNamespace(list, process.execPath, bin, ...draw, "out");
    expect(code, stderr).toBe(0);
    expect(stderr.trimEnd().split("\n").slice(-files.length)).toEqual(files);
  });
});

describe("what scenes refuses", () => {
  const draw = (out: string, ...more: string[]) =>
    cli("scenes", "--seed", "1", "--count", "2", "--out", out, ...more);

  test("a folder that holds something, and a place that cannot be written", async () => {
    const place = temporaryFolder();
    writeFileSync(join(place, "notes.txt"), "mine");
    const full = await draw(place);
    expect([full.code, full.stderr]).toEqual([
      1,
      expect.stringContaining(`--out ${place}: holds 1 entry, expected an empty`),
    ]);
    const file = await draw(join(place, "notes.txt"));
    expect([file.code, file.stderr]).toEqual([1, expect.stringContaining("is a file, expected a folder")]);
    const nowhere = await draw(join(place, "a", "b"));
    expect([nowhere.code, nowhere.stderr]).toEqual([1, expect.stringContaining("there is no folder")]);
    expect(filesBelow(place)).toEqual(["notes.txt"]);
    mkdirSync(join(place, "empty"));
    expect((await draw(join(place, "empty"))).code).toBe(0);
  });

  test("a link that leads nowhere, before it draws anything", async () => {
    const place = temporaryFolder();
    symlinkSync("nothing", join(place, "link"));
    const { code, stderr } = await draw(join(place, "link"));
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining("link: is a link that leads nowhere, expected"),
    ]);
    expect(filesBelow(place)).toEqual(["link"]);
  });

  test.each([
    ["no seed", ["--count", "1", "--out", "x"], "--seed"],
    ["no count", ["--seed", "1", "--out", "x"], "--count"],
    ["no folder", ["--seed", "1", "--count", "1"], "--out"],
    ["a folder without name", ["--seed", "1", "--count", "1", "--out", ""], "Expected a folder"],
    ["a count of 0", ["--seed", "1", "--count", "0", "--out", "x"], "at least 1"],
    ["a seed in words", ["--seed", "one", "--count", "1", "--out", "x"], "'one'"],
    [
      "another split",
      ["--seed", "1", "--count", "1", "--out", "x", "--split", "dev"],
      "train, validation, test",
    ],
    ["tiny pictures", ["--seed", "1", "--count", "1", "--out", "x", "--image-size", "32"], "at least 64"],
  ])("%s", async (_, flags, says) => {
    const { code, stdout, stderr } = await cli("scenes", ...flags);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(says);
  });

  test("to leave anything behind when it is interrupted", async () => {
    const place = temporaryFolder();
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error("interrupted")), 150);
    const silent = { write: () => true };
    const argv = ["scenes", "--seed", "1", "--count", "100000", "--out", join(place, "scenes")];
    expect(await run(argv, { stdout: silent, stderr: silent, signal: abort.signal })).toBe(130);
    expect(filesBelow(place)).toEqual([]);
  });
});
