import type { BlockFormat } from "@mask-llava/runtime";
import type { StoredDType } from "../checkpoint/index.ts";

/** What a tensor of a file that is read may hold: elements, or blocks of quantised weights. */
export type GgufType = StoredDType | BlockFormat;

/** ggml's tensor types by their numbers in files (`enum ggml_type` of ggml.h). */
export const ggufTypes: Readonly<Record<number, GgufType>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  6: "Q5_0",
  7: "Q5_1",
  8: "Q8_0",
  12: "Q4_K",
  13: "Q5_K",
  14: "Q6_K",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  30: "BF16",
};

/** Types that are not read, for messages. */
export const otherTypes: Readonly<Record<number, string>> = {
  4: "Q4_2, which ggml dropped",
  5: "Q4_3, which ggml dropped",
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  29: "IQ1_M",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
  40: "NVFP4",
};
