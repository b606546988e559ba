"""Train the summarizer: the description of a program in, the one line a person wrote for it out.

    python -m model.training.describe DESCRIPTIONS.tsv --out runs/describe
    python -m model.training.describe DESCRIPTIONS.tsv --out runs/describe --score tests/data/descriptions.tsv

DESCRIPTIONS.tsv: description, tab, summary, one pair a line. Most words of a summary stand in its description, and a
model that only ever saw the task learns its phrases before it learns to copy. So it first rebuilds windows of
descriptions of which words were left out, the longer the windows the later, and goes on doing so beside the task; and
in a part of the examples the rare words of both sides are exchanged for other rare words, so that a name can only be
copied, not known.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from model.measures.heads.head_characters import head_characters
from model.training.data.text import Ids, Pair, grouped_split, pair_batches, words_of
from model.training.loop import Batch, train
from model.training.options import add_options, options_from
from model.training.pair_recipe import PairRecipe, tokenizer_of
from model.training.rouge import rouge
from model.translator.generation import decode_greedily
from model.translator.scoring import read_pairs
from model.translator.text_preparation import prepare_text
from model.translator.transformer import Config, Transformer
from model.translator.translator import Translator

LONGEST = 160  # tokens of a description, the end mark included
LONGEST_LINE = 40  # tokens of a summary: next to none that a person wrote has more
SIZES = {"test": 1500, "validation": 500}
TRACED = 100  # test descriptions that the heads are looked at with


def beginnings(pair: Pair) -> Iterable[str]:
    """What two descriptions of one program share: their first eight words, or their whole summary."""
    return " ".join(words_of(pair[0])[:8]), "summary: " + " ".join(words_of(pair[1]))


def rare_words(pairs: Sequence[Pair]) -> list[str]:
    """Words with a letter that stand in few rows, such as names of programs; in order of first appearance."""
    counts = Counter(word for source, target in pairs for word in dict.fromkeys(f"{source} {target}".split()))
    return [word for word, count in counts.items() if count <= 4 and re.fullmatch(r"\w[\w+.-]*\w", word)]


def rename(pair: Pair, rare: set[str], others: Sequence[str], rng: random.Random) -> Pair:
    """The pair with each rare word that stands on both sides exchanged for another rare word."""
    shared = [word for word in dict.fromkeys(pair[1].split()) if word in rare and word in pair[0].split()]
    names = {word: rng.choice(others) for word in shared}

    def exchanged(text: str) -> str:
        return " ".join(names.get(word, word) for word in text.split(" "))

    return exchanged(pair[0]), exchanged(pair[1])


def window(text: str, shortest: int, longest: int, share: float, rng: random.Random) -> Pair:
    """A run of words, once with a share of them left out and once whole."""
    words = text.split()
    length = min(rng.randint(shortest, longest), len(words))
    begin = rng.randint(0, len(words) - length)
    whole = words[begin : begin + length]
    some = [word for word in whole if rng.random() >= share] or whole[:1]
    return " ".join(some), " ".join(whole)


class Describe(PairRecipe):
    """Examples, loss and figures of the summarizer; args: as `main` reads them."""

    def __init__(
        self, parts: dict[str, list[Pair]], tokenizer: Tokenizer, config: Config, args: argparse.Namespace
    ) -> None:
        super().__init__(parts, tokenizer, config, args)
        self.others = rare_words(parts["train"])
        self.rare = set(self.others)

    def encode(self, pairs: Sequence[Pair]) -> list[tuple[Ids, Ids]]:
        """Ids of both sides, as the app's tokenizer gives them, cut to the model's length."""
        sources = self.tokenizer.encode_batch([prepare_text(source) for source, _ in pairs])
        targets = self.tokenizer.encode_batch([target for _, target in pairs])
        most = LONGEST - 1
        return [(s.ids[:most], t.ids[: most - 1]) for s, t in zip(sources, targets, strict=True)]

    def examples(self, number: int, rng: random.Random) -> list[Pair]:
        """The pairs of one round: windows to rebuild and, after the first rounds, the task."""
        args, pairs = self.args, self.parts["train"]
        if number < args.rebuilding:
            longest = 18 if number == 0 else 40
            return [window(source, 6, longest, 0.2, rng) for source, _ in pairs for _ in range(args.windows)]
        found = [rename(p, self.rare, self.others, rng) if rng.random() < args.renamed else p for p in pairs]
        return found + [window(source, 6, 40, 0.2, rng) for source, _ in pairs if rng.random() < args.mixed]

    def batches(self, number: int) -> Sequence[Batch]:
        rng = random.Random(f"{self.args.seed} {number}")
        return pair_batches(self.encode(self.examples(number, rng)), self.config, self.args.tokens, rng)

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        assert isinstance(module, Transformer)
        pairs = self.parts["validation"]
        device = next(module.parameters()).device
        sample = pairs[: self.args.sample]
        outputs = summarize(Translator(module, self.tokenizer, str(device)), [source for source, _ in sample])
        scores = rouge(outputs, [target for _, target in sample])
        return {"validation_loss": self.validation_loss(module, self.encode(pairs))} | scores


def summarize(lens: Translator, texts: Sequence[str], batch: int = 50) -> list[str]:
    """Greedy summaries, batched by length; what is longer than the model's input is cut."""
    ids = [e.ids[: LONGEST - 1] for e in lens.tokenizer.encode_batch([prepare_text(text) for text in texts])]
    order = sorted(range(len(texts)), key=lambda i: len(ids[i]))
    outputs = [""] * len(texts)
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        rows = [torch.tensor([*ids[i], lens.config.eos], device=lens.device) for i in chosen]
        source = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=lens.config.pad)
        for i, made in zip(chosen, decode_greedily(lens.module, source), strict=True):
            outputs[i] = lens.tokenizer.decode(made)
    return outputs


def copying_heads(lens: Translator, texts: Sequence[str]) -> list[dict[str, float]]:
    """How much of the attention of each cross-attention head goes to the word that is written next, and to the last.

    Means over all written tokens that stand in their text, as `model.measures.heads.head_characters` says.

    Returns:
        "layer", "head" and the shares "copies" and "copied" of every head, best "copies" first.
    """
    sums = {name: np.zeros((2, *lens.heads["cross"])) for name in ("copies", "copied")}
    for text in texts:
        for one in head_characters(lens.trace(text).attentions["cross"]):
            if one.name in sums:
                sums[one.name] += np.nan_to_num(one.share) * one.queries, one.queries
    shares = {name: total / np.maximum(count, 1) for name, (total, count) in sums.items()}
    rows = [
        {"layer": layer, "head": head} | {name: round(float(share[layer, head]), 3) for name, share in shares.items()}
        for layer, head in np.ndindex(*lens.heads["cross"])
    ]
    return sorted(rows, key=lambda row: -row["copies"])


def score(folder: Path, parts: dict[str, list[Pair]], sample: Sequence[Pair]) -> dict[str, object]:
    """ROUGE of the saved model on the test part, the first words of the description beside it, and some outputs.

    Args:
        sample: a few pairs to score on their own, for the tests.
    """
    lens = Translator.open(folder)
    sources = [source for source, _ in parts["test"]]
    wanted = [target for _, target in parts["test"]]
    outputs = summarize(lens, sources)
    copied = [set(words_of(o)) & set(words_of(s)) for o, s in zip(outputs, sources, strict=True)]
    found: dict[str, object] = {
        "descriptions": len(sources),
        "model": rouge(outputs, wanted),
        "first_6_words": rouge([" ".join(s.split()[:6]) for s in sources], wanted),
        "first_12_words": rouge([" ".join(s.split()[:12]) for s in sources], wanted),
        "words_of_output_in_description": sum(map(len, copied)) / sum(len(set(words_of(o))) for o in outputs),
    }
    if sample:
        found["sample"] = rouge(summarize(lens, [source for source, _ in sample]), [target for _, target in sample])
    short = [text for text in sources if len(lens.tokenizer.encode(prepare_text(text)).ids) < LONGEST]
    found["heads"] = copying_heads(lens, short[:TRACED])
    rows = [{"description": s, "written": w, "model": o} for s, w, o in zip(sources, wanted, outputs, strict=True)]
    (folder / "scores.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "outputs.json").write_text(json.dumps(rows[::15], indent=1, ensure_ascii=False), encoding="utf-8")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument(
        "--score",
        type=Path,
        nargs="?",
        const=Path(),
        help="score the saved model instead of training; with a few pairs of the test part, for the tests",
    )
    parser.add_argument("--tokens", type=int, default=3072, help="tokens of a batch, both sides and padding counted")
    parser.add_argument("--rebuilding", type=int, default=2, help="rounds that only rebuild windows of descriptions")
    parser.add_argument("--windows", type=int, default=2, help="windows of each description in such a round")
    parser.add_argument("--mixed", type=float, default=0.3, help="windows for each description beside the task")
    parser.add_argument("--renamed", type=float, default=0.4, help="share of examples with rare words exchanged")
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--sample", type=int, default=300, help="validation descriptions that are summarized")
    add_options(parser, steps=30_000, peak=1e-3, warmup=1000, cooldown=10_000, evaluate_every=1000)
    args = parser.parse_args()
    parts = grouped_split(read_pairs(args.pairs), beginnings, SIZES, seed=2017)
    if args.score is not None:
        sample = read_pairs(args.score) if args.score.is_file() else []
        print(json.dumps(score(args.out, parts, sample), indent=1))
        return
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(args, parts["train"])
    config = Config(
        tokenizer.get_vocab_size(),
        max_tokens=LONGEST,
        dropout=args.dropout,
        usual_tokens=LONGEST,
        longest_output=LONGEST_LINE,
    )
    train(Transformer(config), Describe(parts, tokenizer, config, args), options_from(args), args.out)


if __name__ == "__main__":
    main()
