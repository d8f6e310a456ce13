"""Three small tokenizers in the pipelines of CLIP, Llama 3 and Llama 2, trained on corpus.TEXT.

Only the merges come from training. The vocabularies are laid out as the real ones are (bytes or specials
first, then pieces in merge order), so that rules about ids hold here as there.
"""

import json
import re

from corpus import TEXT, TRICKY
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

CLIP_SPLIT = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def trained_merges(tokenizer, count, **options):
    """Pairs in the order learnt. The trainer is told a size; what it adds beyond the alphabet are the merges."""
    trainer = trainers.BpeTrainer(vocab_size=100_000, min_frequency=2, show_progress=False, **options)
    tokenizer.train_from_iterator(TEXT.splitlines(keepends=True), trainer)
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    assert len(merges) >= count, f"{len(merges)} merges, wanted {count}"
    return merges[:count]


def unique(pieces):
    return list(dict.fromkeys(pieces))


def byte_alphabet():
    """The 256 characters of byte-level BPE in the order of GPT-2's table: printable bytes, then the others."""
    table = {}
    shift = 0
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + shift)
            shift += 1
    return sorted(table.values())


def clip_tokenizer(merges=177):
    """CLIP's: NFC, one space for white space, lower case, words end in </w>, <|startoftext|> … <|endoftext|>."""

    def pipeline(model):
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(CLIP_SPLIT), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    learnt = trained_merges(
        pipeline(models.BPE(end_of_word_suffix="</w>")),
        merges,
        end_of_word_suffix="</w>",
        initial_alphabet=byte_alphabet(),
    )
    letters = byte_alphabet()
    pieces = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in learnt]
    vocab = {piece: index for index, piece in enumerate(unique(pieces))}
    start, end = len(vocab), len(vocab) + 1
    vocab |= {"<|startoftext|>": start, "<|endoftext|>": end}
    tokenizer = pipeline(
        models.BPE(
            vocab=vocab,
            merges=learnt,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            unk_token="<|endoftext|>",
            fuse_unk=False,
        )
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", end), ("<|startoftext|>", start), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=True, special=True) for token in ("<|startoftext|>", "<|endoftext|>")]
    )
    return tokenizer


def clip_words(text):
    """CLIPTokenizer.decode of transformers, after the tokenizers library's decode."""
    return text.replace("</w>", " ").strip()


def llama3_tokenizer(merges=201, unmerged=("Ġwebgpu", "mask")):
    """Llama 3's: byte-level BPE with `ignore_merges`, so a whole word in the vocabulary wins over its merges.

    `unmerged` words are in the vocabulary without merges that lead to them.
    """

    def pipeline(model):
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LLAMA3_SPLIT), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    learnt = trained_merges(pipeline(models.BPE()), merges, initial_alphabet=byte_alphabet())
    pieces = unique(byte_alphabet() + [a + b for a, b in learnt] + list(unmerged))
    vocab = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = pipeline(models.BPE(vocab=vocab, merges=learnt, ignore_merges=True))
    specials = [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|finetune_right_pad_id|>",
    ]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in specials])
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", begin)],
            ),
        ]
    )
    return tokenizer


def llama2_tokenizer(merges=187, legacy=True, extra=()):
    """Llama 2's: SentencePiece BPE with ▁ for the space and <0xNN> for what the vocabulary lacks.

    legacy: a normalizer that prepends ▁ to every stretch of text between special tokens. Otherwise a
    Metaspace pre-tokenizer that prepends to the first stretch only. `extra`: added special tokens at the end.
    """
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split(Regex("▁*[^▁]+|▁+"), behavior="isolated")
    learnt = trained_merges(learner, merges - 3, limit_alphabet=140)
    # Runs of spaces, which SentencePiece models have and which splitting before every word cannot learn.
    learnt = [("▁", "▁"), ("▁▁", "▁▁"), ("▁▁", "▁")] + learnt
    letters = unique(re.sub(r"\s", "", TEXT))
    merged = unique(a + b for a, b in learnt)
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += merged + [letter for letter in unique(["▁"] + letters)]
    vocab = {piece: index for index, piece in enumerate(unique(pieces))}
    learnt = [pair for pair in dict.fromkeys(learnt) if all(part in vocab for part in pair)]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=learnt, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    specials = ["<unk>", "<s>", "</s>", *extra]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in specials])
    return tokenizer


def cases(directory, rng, after=lambda text: text):
    """What the saved tokenizer.json answers: encodings, and decodings of good and of random ids."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    encode = []
    for text in TRICKY:
        for add in (True, False):
            encoding = tokenizer.encode(text, add_special_tokens=add)
            encode.append({"text": text, "add_special_tokens": add, "ids": encoding.ids})
    sequences = [case["ids"] for case in encode if case["add_special_tokens"]]
    size = tokenizer.get_vocab_size()
    sequences += [rng.integers(0, size, int(rng.integers(1, 24))).tolist() for _ in range(16)]
    # Every prefix of one string with characters of several bytes: what a streaming decoder meets.
    whole = tokenizer.encode("a 😀 é 世", add_special_tokens=False).ids
    sequences += [whole[:end] for end in range(1, len(whole))]
    decoded = [
        {"ids": ids, "skip_special_tokens": skip, "text": after(tokenizer.decode(ids, skip_special_tokens=skip))}
        for ids in sequences
        for skip in (True, False)
    ]
    return {"encode": encode, "decode": decoded}
