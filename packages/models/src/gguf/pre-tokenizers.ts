/** How byte-level tokenizers cut text into words before they merge, by the names of `tokenizer.ggml.pre`. */
export interface ByteLevelSplit {
  /** tokenizer.json's pre_tokenizer. */
  readonly preTokenizer: unknown;
  /** A word that is a token is taken whole, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** BOS comes before a text where the file does not say. */
  readonly addsBos: boolean;
}

const byteLevel = (useRegex: boolean) => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});

const splitBy = (regex: string) => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false },
    byteLevel(false),
  ],
});

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const rest = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
/** Llama 3's tokenizer.json. */
const llama3 = String.raw`${contractions}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|${rest}`;
/** Mistral's Tekken: words end where lower case meets upper case. */
const tekken = String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const llama3Split = { preTokenizer: splitBy(llama3), ignoreMerges: true, addsBos: true };
const gpt2Split = { preTokenizer: byteLevel(true), ignoreMerges: false, addsBos: false };
const digitSplit = {
  preTokenizer: {
    type: "Sequence",
    pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel(true)],
  },
  ignoreMerges: false,
  addsBos: false,
};

/** Those of decoders that are LLaMAs. Others are refused by name rather than cut by another's rule. */
export const byteLevelSplits: Readonly<Record<string, ByteLevelSplit>> = {
  "llama-bpe": llama3Split,
  llama3: llama3Split,
  "llama-v3": llama3Split,
  "smaug-bpe": { ...llama3Split, ignoreMerges: false, addsBos: false },
  tekken: { preTokenizer: splitBy(tekken), ignoreMerges: true, addsBos: true },
  "gpt-2": gpt2Split,
  smollm: digitSplit,
  starcoder: digitSplit,
  refact: digitSplit,
};
