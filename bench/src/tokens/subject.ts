import type { KvDType, WeightDType } from "@mask-llava/models";

/** `Mask-LLaVA`: [CLS], pooled patches and objects; `LLaVA`: patch tokens alone. */
export const compositions = ["Mask-LLaVA", "LLaVA"] as const;
export type CompositionName = (typeof compositions)[number];

/** Wall milliseconds of one answer, from a picture whose features are known. */
export interface AnswerTimes {
  /** Choosing, pooling, scaling and projecting the visual tokens. */
  readonly compose: number;
  /** The prompt, up to the first token of the answer. */
  readonly prefill: number;
  /** Each further token. */
  readonly step: number;
}

/** How a model is held. */
export interface SubjectDTypes {
  readonly dtype: WeightDType;
  readonly kvDtype: KvDType;
}

/** A model that is asked with different numbers of visual tokens. */
export interface Subject extends SubjectDTypes, Disposable {
  readonly name: string;
  /** Bytes of weights on the GPU. */
  readonly weightBytes: number;
  /** Tokens of the prompt that are not visual. */
  readonly textTokens: number;
  readonly kvBytesPerToken: number;
  /** GPU bytes that answering a prompt takes at most, by the shapes alone; where networks for pictures add theirs, undefined. */
  readonly predictBytes?: (promptTokens: number, newTokens: number) => number;
  /** Wall milliseconds of the picture's features, by stage: what an answer to a first question takes besides. */
  readonly imageWork: Readonly<Record<string, number>> | undefined;
  /** The most visual tokens that a composition can have. */
  most(composition: CompositionName): number;
  answer(composition: CompositionName, visualTokens: number, newTokens: number): Promise<AnswerTimes>;
}
