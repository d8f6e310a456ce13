/** Words that the random model babbles in. */
const words = `
a the this that it is are was in on at of and with by to from near under over behind between
red green blue yellow brown black white grey dark bright small large tall round old new quiet
cat dog bird horse house tree hill mountain river road path field sky sun cloud lake sea boat car
door window roof wall garden flower grass stone leaf shadow light picture colour shape line circle square
one two three four some many few other each both left right middle corner side top
sits stands runs looks shows walks sleeps flies grows shines waits lies holds goes comes
there here perhaps maybe very quite also again still while before after what who where how
USER ASSISTANT`
  .trim()
  .split(/\s+/);

const specials = ["<unk>", "<s>", "</s>", "<image>"] as const;
export const specialIds = { unk: 0, bos: 1, eos: 2, image: 3 } as const;
const space = "▁";

export interface DemoTokenizer {
  /** tokenizer.json and tokenizer_config.json. */
  readonly tokenizer: object;
  readonly config: object;
  readonly vocabularySize: number;
  /** Ids of whole words. */
  readonly wordIds: ReadonlySet<number>;
}

/** A BPE tokenizer of a few hundred tokens in the manner of LLaMA's: words are merged letter by letter, the rest are bytes. */
export function demoTokenizer(): DemoTokenizer {
  const vocabulary = new Map<string, number>();
  const add = (token: string) => {
    if (!vocabulary.has(token)) vocabulary.set(token, vocabulary.size);
  };
  for (const token of specials) add(token);
  for (let byte = 0; byte < 256; byte++) add(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  for (const character of `${space}.,:?!'-`) add(character);
  for (const word of words) for (const character of word) add(character);
  const merges = new Map<string, [string, string]>();
  for (const word of words) {
    let merged = space;
    for (const character of word) {
      merges.set(`${merged} ${character}`, [merged, character]);
      merged += character;
      add(merged);
    }
  }
  const wordIds = new Set(words.map((word) => vocabulary.get(`${space}${word}`) ?? specialIds.unk));
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: specials.map((content, id) => ({
        id,
        content,
        special: true,
        normalized: false,
        single_word: false,
        lstrip: false,
        rstrip: false,
      })),
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Prepend", prepend: space },
          { type: "Replace", pattern: { String: " " }, content: space },
        ],
      },
      pre_tokenizer: null,
      post_processor: {
        type: "TemplateProcessing",
        single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
        pair: [],
        special_tokens: { "<s>": { id: "<s>", ids: [specialIds.bos], tokens: ["<s>"] } },
      },
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: space }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          { type: "Strip", content: " ", start: 1, stop: 0 },
        ],
      },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: "<unk>",
        fuse_unk: true,
        byte_fallback: true,
        vocab: Object.fromEntries(vocabulary),
        merges: [...merges.values()],
      },
    },
    config: {
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: "<s>",
      eos_token: "</s>",
      unk_token: "<unk>",
      clean_up_tokenization_spaces: false,
    },
    vocabularySize: vocabulary.size,
    wordIds,
  };
}
