"""Stage 1: the tokenizers of both text sides, trained on the scenes' captions, questions and answers.

Byte-level BPE without an unknown token, so that any text can be encoded; words of the world become single tokens.
  runs/tokenizer/language  in the manner of Llama 3, with <s>, </s>, <pad>, <image> and a chat template after vicuna_v1
  runs/tokenizer/clip      CLIP's own pipeline (lower case, </w>)
"""

import argparse
import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from common import HERE, save_json
from dataset import Split

LANGUAGE_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CLIP_SPLIT = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
# vicuna_v1 without its system sentence, which says nothing in this world and would cost 40 tokens a question
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'USER: ' }}{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\n' }}{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% else %}{{ ' ' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def byte_alphabet():
    """The 256 characters of byte-level BPE, in the order of GPT-2's table."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def learnt_merges(tokenizer, texts, size, **options):
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, show_progress=False, initial_alphabet=byte_alphabet(), **options
    )
    tokenizer.train_from_iterator(texts, trainer)
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def language_pipeline(model):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LANGUAGE_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def language_tokenizer(texts, size):
    # a word begins a question or follows another; both forms are learnt, as are the marks of the turns
    lines = [f"\n{text} ASSISTANT: {text}" for text in texts] + ["USER: ", "ASSISTANT:"] * 10
    merges = learnt_merges(language_pipeline(models.BPE()), lines, size)
    pieces = ["<s>", "</s>", "<pad>", "<image>", *byte_alphabet(), *(a + b for a, b in merges)]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = language_pipeline(models.BPE(vocab=vocab, merges=merges))
    specials = [AddedToken(t, normalized=False, special=True) for t in ("<s>", "</s>", "<pad>", "<image>")]
    tokenizer.add_special_tokens(specials)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocab["<s>"])]
    )
    return tokenizer


def clip_pipeline(model):
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


def clip_tokenizer(texts, size):
    merges = learnt_merges(
        clip_pipeline(models.BPE(end_of_word_suffix="</w>")), texts, size, end_of_word_suffix="</w>"
    )
    letters = byte_alphabet()
    pieces = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges)]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    start, end = len(vocab), len(vocab) + 1
    vocab |= {"<|startoftext|>": start, "<|endoftext|>": end}
    model = models.BPE(
        vocab=vocab, merges=merges, continuing_subword_prefix="", end_of_word_suffix="</w>",
        unk_token="<|endoftext|>", fuse_unk=False,
    )
    tokenizer = clip_pipeline(model)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", end), ("<|startoftext|>", start), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=True, special=True) for t in ("<|startoftext|>", "<|endoftext|>")]
    )
    return tokenizer


def write(tokenizer, folder, names, **config):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    decoder = {str(token.pop("id")): token for token in added}
    settings = {"added_tokens_decoder": decoder, **names, "clean_up_tokenization_spaces": False, **config}
    save_json(folder / "tokenizer_config.json", settings)
    save_json(folder / "special_tokens_map.json", names)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE / "data")
    parser.add_argument("--runs", type=Path, default=HERE / "runs")
    parser.add_argument("--scenes", type=int, default=4000, help="training scenes to learn from")
    parser.add_argument("--size", type=int, default=900, help="most entries of a vocabulary, the bytes included")
    args = parser.parse_args()
    texts = list(Split(args.data, "train", args.scenes).texts())
    language = language_tokenizer(texts, args.size)
    names = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    write(
        language, args.runs / "tokenizer" / "language", names, tokenizer_class="PreTrainedTokenizerFast",
        model_max_length=512, padding_side="right", chat_template=CHAT_TEMPLATE,
    )
    clip = clip_tokenizer(texts, args.size)
    end = "<|endoftext|>"
    names = dict(bos_token="<|startoftext|>", eos_token=end, unk_token=end, pad_token=end)
    write(clip, args.runs / "tokenizer" / "clip", names, tokenizer_class="CLIPTokenizer", model_max_length=96)
    longest = max(len(clip.encode(text).ids) for text in texts)
    print(f"language {language.get_vocab_size()} entries, clip {clip.get_vocab_size()}, longest text {longest} CLIP tokens")
    print(language.encode("USER: <image>\n" + texts[1] + " ASSISTANT: " + texts[2] + "</s>").tokens)


if __name__ == "__main__":
    main()
