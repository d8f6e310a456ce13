"""That a packed sequence computes what each question alone does.

python3 smoke/check_packing.py RUNS DATA
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from composition import plan, read_settings
from dataset import Split
from language_model import load
from tokens import CAPTION_QUESTION, Speech, Tokens


@torch.no_grad()
def main():
    runs, data = Path(sys.argv[1]), Path(sys.argv[2])
    settings = read_settings()
    model, speech = load(runs / "language" / "model", settings), Speech(runs / "tokenizer" / "language")
    tokens = Tokens(runs / "tokens" / "test")
    split = Split(data, "test", len(tokens))
    own = [tokens.at(i) for i in range(2)]
    visual = [model.visual(t, plan(len(t["objects"]), (6, 6), budget)) for t, budget in zip(own, (None, 20))]
    turns = [speech.turns(split.scenes[i]["questions"], [(CAPTION_QUESTION, split.scenes[i]["caption"])]) for i in range(2)]
    logits, targets, picture, turn = model.answers(visual, turns, speech.before)
    embed, worst = model.language.model.embed_tokens, 0.0
    for row, asked in enumerate(turns):
        for k, (question, answer) in enumerate(asked, 1):
            parts = [embed(torch.tensor(speech.before)), visual[row], embed(torch.tensor(question + answer[:-1]))]
            alone = model.language(inputs_embeds=torch.cat(parts)[None]).logits[0, -len(answer) :]
            packed = logits[(picture == row) & (turn == k)]
            assert targets[(picture == row) & (turn == k)].tolist() == answer
            worst = max(worst, ((alone - packed).norm() / alone.norm()).item())
    assert worst < 1e-5, worst
    print(f"packed answers are those of each question alone: relative error at most {worst:.1e}")


if __name__ == "__main__":
    main()
