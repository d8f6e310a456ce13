import { decodeImage } from "@mask-llava/models/node";
import type { OnProgress } from "../progress.ts";
import type { AnswerLine, RunMark } from "./answer-line.ts";
import type { AnswersFile, ExpectedLine } from "./answers-file.ts";
import type { Configuration } from "./configurations.ts";
import type { EvalPicture } from "./dataset.ts";
import { measureAnalysis, type PictureMeasures, type Probing } from "./picture-measures.ts";
import type { Reply, Respondent } from "./respondents.ts";
import { isRight } from "./scoring.ts";

/** How many whole pictures lines are of. */
export function picturesDone(lines: number, rows: number, pictures: readonly EvalPicture[]): number {
  let [done, left] = [0, lines];
  for (const { questions } of pictures) {
    left -= rows * questions.length;
    if (left < 0) break;
    done++;
  }
  return done;
}

/** A configuration, of which checkpoint, and what names both in the file of answers. */
export interface Row {
  readonly configuration: Configuration;
  readonly model: string;
  readonly mark: RunMark;
}

/** All lines that a picture gives, in order. */
export function expectedLines(picture: EvalPicture, rows: readonly Row[]): ExpectedLine[] {
  return rows.flatMap(({ mark }) => picture.questions.map(({ id }) => ({ question_id: id, mark })));
}

export interface Evaluation {
  readonly pictures: readonly EvalPicture[];
  readonly respondents: readonly Respondent[];
  /** Configurations of all respondents, in order. */
  readonly rows: readonly Row[];
  /** Put behind every question. */
  readonly suffix: string;
  readonly answers: AnswersFile | undefined;
  readonly probing: Probing | undefined;
}

/**
 * Asks every question with every configuration, picture by picture. A picture's lines are written when all are there.
 * @returns the lines
 */
export async function evaluate(
  evaluation: Evaluation,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<AnswerLine[]> {
  const { pictures, rows, answers } = evaluation;
  const prompts = await promptsOf(evaluation);
  const lines: AnswerLine[] = [];
  const total = rows.length * pictures.reduce((sum, { questions }) => sum + questions.length, 0);
  for (const picture of pictures) {
    signal.throwIfAborted();
    const own = await answerPicture(picture, evaluation, prompts, signal);
    await answers?.append(own);
    lines.push(...own);
    onProgress(lines.length, total);
  }
  return lines;
}

/** Each respondent's prompt of every question's text: all at once, as a template's renderer is a process to start. */
async function promptsOf({ pictures, respondents, suffix }: Evaluation): Promise<Map<string, string>[]> {
  const texts = [...new Set(pictures.flatMap(({ questions }) => questions.map(({ text }) => text)))];
  const prompts: Map<string, string>[] = [];
  for (const respondent of respondents) {
    const own = await respondent.promptsFor(texts.map((text) => text + suffix));
    prompts.push(new Map(texts.map((text, i) => [text, own[i] as string])));
  }
  return prompts;
}

async function answerPicture(
  picture: EvalPicture,
  { respondents, rows, probing }: Evaluation,
  prompts: readonly ReadonlyMap<string, string>[],
  signal: AbortSignal,
): Promise<AnswerLine[]> {
  const started = performance.now();
  const pixels = await decodeImage(picture.file);
  const timings = new Map([["decodeImage", performance.now() - started]]);
  const replies: (readonly Reply[])[] = [];
  let measures: Omit<PictureMeasures, "timings"> = {};
  for (const [i, respondent] of respondents.entries()) {
    const own = picture.questions.map(({ text }) => prompts[i]?.get(text) as string);
    const given = await respondent.answer(pixels, own, signal);
    signal.throwIfAborted();
    replies.push(...given.replies);
    for (const [stage, ms] of Object.entries(given.timings))
      timings.set(stage, (timings.get(stage) ?? 0) + ms);
    if (i === 0 && given.analysis) measures = measureAnalysis(picture, given.analysis, probing);
  }
  const lines = rows.flatMap((row, r) =>
    picture.questions.map((question, q): AnswerLine => {
      const reply = replies[r]?.[q] as Reply;
      const { id, answers, kind, negative } = question;
      return {
        question_id: id,
        prompt: reply.prompt,
        text: reply.text,
        answer_id: `${id}/${row.mark.configuration}`,
        model_id: row.model,
        metadata: {
          ...row.mark,
          kind,
          right: isRight(reply.text, answers),
          answers,
          ...(negative && { negative }),
          visual_tokens: reply.visualTokens,
          new_tokens: reply.newTokens,
          finish_reason: reply.finishReason,
        },
      };
    }),
  );
  const last = lines.pop();
  if (!last) return [];
  const told = { timings: Object.fromEntries(timings), ...measures };
  return [...lines, { ...last, metadata: { ...last.metadata, picture: told } }];
}
