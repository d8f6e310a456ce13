import { Random } from "@mask-llava/runtime";
import { type Statistics, statisticsOf } from "../common/statistics.ts";
import { fitLine, type LinearFit } from "./fit.ts";
import { type CompositionName, compositions, type Subject } from "./subject.ts";

/** One number of visual tokens in one composition. Times are wall milliseconds. */
export interface TokenRow {
  readonly composition: CompositionName;
  readonly visualTokens: number;
  /** With the text. */
  readonly promptTokens: number;
  readonly compose: Statistics;
  readonly prefill: Statistics;
  /** Composing and prefilling, from the picture's features on. */
  readonly firstToken: Statistics;
  /** Each further token. */
  readonly step: Statistics;
  /** The whole answer. */
  readonly answer: Statistics;
  /** New tokens per second once the first is there, and prompt tokens per second before it; by the medians. */
  readonly decodeRate: number;
  readonly prefillRate: number;
  readonly answersPerMinute: number;
  readonly kvBytes: number;
}

/** What a visual token costs: the slope of a time over the number of visual tokens, in milliseconds a token. */
export interface TokenCost {
  readonly composition: CompositionName;
  readonly of: "first token" | "further token" | "answer";
  readonly fit: LinearFit;
}

export interface TokenPlan {
  readonly counts: readonly number[];
  readonly compositions: readonly CompositionName[];
  readonly newTokens: number;
  readonly rounds: number;
}

export interface TokenResults {
  readonly rows: readonly TokenRow[];
  readonly costs: readonly TokenCost[];
}

interface Sample {
  readonly compose: number;
  readonly prefill: number;
  readonly step: number;
}

/** All numbers of tokens in rounds of random order, so that what drifts spreads over all of them; the first is not counted. */
export async function measureTokens(
  subject: Subject,
  plan: TokenPlan,
  onRound: (round: number) => void,
): Promise<TokenResults> {
  const wanted = plan.compositions.flatMap((composition) =>
    plan.counts
      .filter((visualTokens) => visualTokens <= subject.most(composition))
      .map((visualTokens) => ({ composition, visualTokens, samples: [] as Sample[] })),
  );
  const random = new Random(3);
  for (let round = 0; round <= plan.rounds; round++) {
    for (const entry of shuffled(wanted, random)) {
      const times = await subject.answer(entry.composition, entry.visualTokens, plan.newTokens);
      if (round > 0) entry.samples.push(times);
    }
    onRound(round);
  }
  const rows: TokenRow[] = [];
  for (const { composition, visualTokens, samples } of wanted)
    rows.push(await rowOf(subject, composition, visualTokens, samples, plan.newTokens));
  const costs = compositions.flatMap((composition) => {
    const points = wanted
      .filter((entry) => entry.composition === composition)
      .flatMap(({ visualTokens, samples }) => samples.map((s) => [visualTokens, s] as const));
    if (new Set(points.map(([n]) => n)).size < 2) return [];
    const cost = (of: TokenCost["of"], time: (s: Sample) => number): TokenCost => ({
      composition,
      of,
      fit: fitLine(points.map(([n, s]) => [n, time(s)])),
    });
    return [
      cost("first token", firstToken),
      cost("further token", (s) => s.step),
      cost("answer", (s) => answerTime(s, plan.newTokens)),
    ];
  });
  return { rows, costs };
}

function firstToken({ compose, prefill }: Sample): number {
  return compose + prefill;
}

function answerTime(sample: Sample, newTokens: number): number {
  return firstToken(sample) + (newTokens - 1) * sample.step;
}

async function rowOf(
  subject: Subject,
  composition: CompositionName,
  visualTokens: number,
  samples: readonly Sample[],
  newTokens: number,
): Promise<TokenRow> {
  const of = (time: (s: Sample) => number) => statisticsOf(samples.map(time));
  const [prefill, step] = [await of((s) => s.prefill), await of((s) => s.step)];
  const answer = await of((s) => answerTime(s, newTokens));
  const promptTokens = visualTokens + subject.textTokens;
  return {
    composition,
    visualTokens,
    promptTokens,
    compose: await of((s) => s.compose),
    prefill,
    firstToken: await of(firstToken),
    step,
    answer,
    decodeRate: 1e3 / step.median,
    prefillRate: (1e3 * promptTokens) / prefill.median,
    answersPerMinute: 6e4 / answer.median,
    kvBytes: (promptTokens + newTokens) * subject.kvBytesPerToken,
  };
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
  const order = [...values];
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.integer(0, i + 1);
    [order[i], order[j]] = [order[j] as T, order[i] as T];
  }
  return order;
}
