import { dirname, join } from "node:path";
import { ConfigError } from "@mask-llava/models";
import { z } from "zod";
import type { EvalPicture, EvalQuestion } from "./dataset.ts";
import { parseJsonLines, requireText } from "./json-lines.ts";

const text = z.string().min(1);
const answers = z.union([text, z.array(text).min(1)]);

/** A line of a question file, as LLaVA's evaluation files have them; what else it holds is not read. */
const lineSchema = z.looseObject({
  question_id: z.union([text, z.int()]),
  image: text,
  text: text.optional(),
  question: text.optional(),
  answer: answers.optional(),
  answers: answers.optional(),
  kind: text.optional(),
  category: text.optional(),
});
type Line = z.output<typeof lineSchema>;

/** Kind of questions that have none. */
const noKind = "question";

/**
 * Questions of a JSONL file, put together by their pictures, in the order of each picture's first question.
 * @throws ConfigError naming file, line and field
 */
export async function readQuestions(
  file: string,
  imageFolder = dirname(file),
): Promise<{ pictures: { where: string; picture: EvalPicture }[]; text: string }> {
  const content = await requireText(file);
  const byImage = new Map<string, { where: string; questions: EvalQuestion[] }>();
  const ids = new Map<string, string>();
  for (const { where, value } of parseJsonLines(content, lineSchema, file)) {
    const id = String(value.question_id);
    const before = ids.get(id);
    if (before) throw new ConfigError(where, "question_id", `${id} is that of ${before} too`);
    ids.set(id, where);
    const path = join(imageFolder, value.image);
    const known = byImage.get(path) ?? { where, questions: [] };
    byImage.set(path, known);
    known.questions.push({
      id,
      text: oneOf(value, "question", "text", where),
      answers: [oneOf(value, "answer", "answers", where)].flat(),
      kind: value.kind ?? value.category ?? noKind,
    });
  }
  if (ids.size === 0) throw new ConfigError(file, "", "holds no question");
  const pictures = [...byImage].map(([path, { where, questions }]) => {
    return { where, picture: { file: path, questions } };
  });
  return { pictures, text: content };
}

/** The one that is there of two fields that mean the same. */
function oneOf<A extends keyof Line, B extends keyof Line>(
  line: Line,
  one: A,
  other: B,
  where: string,
): NonNullable<Line[A] | Line[B]> {
  const value = line[one] ?? line[other];
  if (value === undefined || value === null) {
    throw new ConfigError(where, one, `is missing, and so is ${other}; expected one of them`);
  }
  if (line[one] !== undefined && line[other] !== undefined) {
    throw new ConfigError(where, one, `is there, and ${other} too; expected one of them`);
  }
  return value as NonNullable<Line[A] | Line[B]>;
}
