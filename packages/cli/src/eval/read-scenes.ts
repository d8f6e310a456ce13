import { join } from "node:path";
import { ConfigError, parseConfig } from "@mask-llava/models";
import { z } from "zod";
import { decodeRle } from "../coco/index.ts";
import { formatVersion, negatives, questionKinds, splits } from "../scenes/index.ts";
import type { EvalPicture, EvalQuestion } from "./dataset.ts";
import { parseJson, parseJsonLines, requireText } from "./json-lines.ts";

const text = z.string().min(1);
const count = z.int().nonnegative();
const box = z.tuple([z.number(), z.number(), z.number(), z.number()]);

/** A path below the data set's folder. */
const within = text.refine((path) => !path.startsWith("/") && !path.split(/[\\/]/).includes(".."), {
  message: "must be a relative path within the data set, without '..'",
});

const objectSchema = z.strictObject({
  shape: text,
  colour: text,
  size: text,
  rotation: z.number(),
  box,
  full_box: box,
  mask: z.strictObject({ size: z.tuple([count, count]), counts: z.string() }),
  visible_fraction: z.number(),
});

const sceneSchema = z.strictObject({
  id: text,
  image: within,
  width: z.int().positive(),
  height: z.int().positive(),
  seed: text,
  objects: z.array(objectSchema),
  caption: z.string(),
  questions: z.array(
    z.strictObject({
      id: text,
      kind: z.enum(questionKinds),
      question: text,
      answer: text,
      negative: z.enum(negatives).optional(),
    }),
  ),
});
type Scene = z.output<typeof sceneSchema>;

const descriptionSchema = z.looseObject({
  format: z.literal("mask-llava-scenes"),
  version: z.literal(formatVersion),
  split: z.enum(splits),
  count,
});

export const sceneFiles = { description: "dataset.json", annotations: "annotations.jsonl" } as const;

/** Scenes of a folder, with where each stands. @throws ConfigError naming file, line and field */
export async function readScenes(
  folder: string,
): Promise<{ pictures: { where: string; picture: EvalPicture }[]; text: string }> {
  const describing = join(folder, sceneFiles.description);
  const { count: scenes } = parseConfig(
    descriptionSchema,
    parseJson(await requireText(describing), describing),
    describing,
  );
  const file = join(folder, sceneFiles.annotations);
  const text = await requireText(file);
  const lines = parseJsonLines(text, sceneSchema, file);
  if (lines.length !== scenes) {
    throw new ConfigError(file, "", "is not whole", {
      found: `${lines.length} scenes`,
      expected: `${scenes}, as ${sceneFiles.description} says`,
    });
  }
  const pictures = lines.map(({ where, value }) => {
    checkMasks(value, where);
    const { image, objects } = value;
    return { where, picture: { file: join(folder, image), questions: questionsOf(value), objects } };
  });
  return { pictures, text };
}

function checkMasks({ width, height, objects }: Scene, where: string): void {
  for (const [i, { mask }] of objects.entries()) {
    const field = `objects[${i}].mask`;
    const [rows, columns] = mask.size;
    if (rows !== height || columns !== width) {
      const details = { found: `${columns}x${rows}`, expected: `${width}x${height}` };
      throw new ConfigError(where, `${field}.size`, "is not the picture's", details);
    }
    try {
      decodeRle(mask);
    } catch (error) {
      throw new ConfigError(where, `${field}.counts`, (error as Error).message);
    }
  }
}

/**
 * A scene's existence questions come in pairs, one answered with yes and one with no: the pair counts with the kind of its
 * negative, so that chance is a half for each kind, as in POPE.
 */
function questionsOf({ questions }: Scene): EvalQuestion[] {
  const negative = questions.find((question) => question.negative)?.negative;
  return questions.map(({ id, kind, question, answer }) => ({
    id,
    kind,
    text: question,
    answers: [answer],
    ...(kind === "existence" && negative && { negative }),
  }));
}
