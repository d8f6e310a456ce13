import { type Negative, negatives } from "../scenes/index.ts";
import type { AnswerLine } from "./answer-line.ts";
import type { Configuration } from "./configurations.ts";
import { normalised } from "./scoring.ts";
import { type Share, shareOf } from "./share.ts";

/** Of questions that are answered with yes or no, as POPE tells them; yes is the positive class. */
export interface YesNoShare extends Share {
  readonly yesRatio: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

export interface ConfigurationResult extends Share {
  readonly name: string;
  readonly role: Configuration["role"];
  /** The checkpoint's folder. */
  readonly model: string;
  readonly tokens: number | null;
  readonly dropPolicy: Configuration["dropPolicy"];
  /** Means over the questions. */
  readonly visualTokens: number;
  readonly newTokens: number;
  /** By kind of question; yes-or-no kinds tell more. */
  readonly kinds: Readonly<Record<string, Share | YesNoShare>>;
  /** Existence questions by how the absent thing was chosen; each kind has its own questions answered with yes. */
  readonly negatives?: Readonly<Partial<Record<Negative, YesNoShare>>>;
}

interface Asked {
  readonly right: boolean;
  /** What was said and what is so, where both are yes or no. */
  readonly said: string;
  readonly expected: string | undefined;
}

class Group {
  readonly #asked: Asked[] = [];

  add(asked: Asked): void {
    this.#asked.push(asked);
  }

  get share(): Share {
    return shareOf(this.#asked.filter(({ right }) => right).length, this.#asked.length);
  }

  get yesNoShare(): YesNoShare | undefined {
    const { share } = this;
    if (share.n === 0 || this.#asked.some(({ expected }) => expected === undefined)) return undefined;
    const count = (test: (asked: Asked) => boolean) => this.#asked.filter(test).length;
    const ratio = (a: number, b: number) => (b > 0 ? a / b : 0);
    const hits = count(({ said, expected }) => said === "yes" && expected === "yes");
    const said = count((asked) => asked.said === "yes");
    const precision = ratio(hits, said);
    const recall = ratio(
      hits,
      count(({ expected }) => expected === "yes"),
    );
    const f1 = ratio(2 * precision * recall, precision + recall);
    return { ...share, yesRatio: said / share.n, precision, recall, f1 };
  }
}

/** Counts the answers of one configuration. */
export class Tally {
  readonly #all = new Group();
  readonly #kinds = new Map<string, Group>();
  readonly #negatives = new Map<Negative, Group>();
  #visualTokens = 0;
  #newTokens = 0;

  add({ text, metadata }: AnswerLine): void {
    const { right, answers, kind, negative, visual_tokens, new_tokens } = metadata;
    const [answer] = answers.map(normalised);
    const expected = answers.length === 1 && (answer === "yes" || answer === "no") ? answer : undefined;
    const asked = { right, said: normalised(text), expected };
    this.#all.add(asked);
    group(this.#kinds, kind).add(asked);
    if (negative) group(this.#negatives, negative).add(asked);
    this.#visualTokens += visual_tokens;
    this.#newTokens += new_tokens;
  }

  get newTokens(): number {
    return this.#newTokens;
  }

  result({ name, role, tokens, dropPolicy }: Configuration, model: string): ConfigurationResult {
    const { share } = this.#all;
    const told = negatives.flatMap((negative) => {
      const yesNo = this.#negatives.get(negative)?.yesNoShare;
      return yesNo ? [[negative, yesNo] as const] : [];
    });
    return {
      ...{ name, role, model, tokens, dropPolicy },
      ...share,
      visualTokens: share.n > 0 ? this.#visualTokens / share.n : 0,
      newTokens: share.n > 0 ? this.#newTokens / share.n : 0,
      kinds: Object.fromEntries([...this.#kinds].map(([kind, g]) => [kind, g.yesNoShare ?? g.share])),
      ...(told.length > 0 && { negatives: Object.fromEntries(told) }),
    };
  }
}

function group<K>(groups: Map<K, Group>, key: K): Group {
  const known = groups.get(key) ?? new Group();
  groups.set(key, known);
  return known;
}
