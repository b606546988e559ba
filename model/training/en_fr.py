"""Train the translator: English in, French out, as a class of pupils types it.

    python -m model.training.en_fr PAIRS.tsv --out runs/en-fr --start assets/en-fr
    python -m model.training.en_fr --out runs/en-fr --judge tests/data/class_sentences.txt
    python -m model.translator.scoring PAIRS.tsv --folder runs/en-fr

PAIRS.tsv: English, tab, French, one pair a line; split as `model.translator.scoring` splits it, to compare scores.
`--start` goes on from finished weights; without it the run starts from scratch. Pairs whose French stands in the passé
simple, which nobody speaks, are left out of training. In each round a part of the sentences
is varied on both sides (`model.training.data.variation`), sentences from templates are added, and some words are cut
into pieces at random (BPE-dropout, Provilkov et al. 2020), so that rare spellings of a word are read too.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn

from model.training.data.literary_past import is_literary
from model.training.data.subwords import Splitter
from model.training.data.text import Ids, Pair, pair_batches, words_of
from model.training.data.variation import british, from_template, join, proper_words, rename, renumber, retime, typed
from model.training.loop import Batch, train
from model.training.options import add_options, options_from
from model.training.pair_recipe import PairRecipe, tokenizer_of
from model.translator.scoring import bleu_chrf, read_pairs, references, split, translate_all
from model.translator.transformer import Config, Transformer
from model.translator.translator import Translator
from model.translator.weights import read_weights

LONGEST = 90  # tokens of a side in training


class EnFr(PairRecipe):
    """Examples, loss and figures of the translator; args: as `main` reads them."""

    def __init__(
        self, parts: dict[str, list[Pair]], tokenizer: Tokenizer, config: Config, args: argparse.Namespace
    ) -> None:
        words = {word for _, french in parts["train"] for word in words_of(french)}
        spoken = [pair for pair in parts["train"] if not is_literary(pair[1], words)]
        super().__init__(parts | {"train": spoken}, tokenizer, config, args)
        self.proper = proper_words(parts["train"])
        self.splitter = Splitter(tokenizer)
        # Hours are rare in the data: these sentences stand in each round again, with other times.
        self.timed = [pair for pair in parts["train"] if retime(pair, random.Random(0)) != pair]

    def vary(self, pair: Pair, rng: random.Random) -> Pair:
        """A pair as it stands in one round: half of them as they are."""
        if rng.random() < 0.35:
            pair = rename(pair, rng)
        if rng.random() < 0.5:
            pair = renumber(pair, rng)
        if rng.random() < 0.5:
            pair = retime(pair, rng)
        if rng.random() < 0.5:
            pair = british(pair, rng)
        for share in (0.12, 0.04):  # two sentences in one text, or three
            if rng.random() < share:
                pair = join(pair, rng.choice(self.parts["train"]), self.proper, rng)
        return typed(pair, rng) if rng.random() < 0.2 else pair

    def examples(self, rng: random.Random) -> list[Pair]:
        """The pairs of one round: all of them, those with a time again, and sentences from templates."""
        made = [from_template(rng) for _ in range(round(self.args.templates * len(self.parts["train"])))]
        return [self.vary(pair, rng) for pair in [*self.parts["train"], *self.timed * self.args.timed, *made]]

    def encode(self, pairs: Sequence[Pair], rng: random.Random | None) -> list[tuple[Ids, Ids]]:
        """Ids of both sides; where there is an rng, a share of the English sides with words cut up at random."""
        sources: list[Ids] = [e.ids for e in self.tokenizer.encode_batch([english for english, _ in pairs])]
        targets = [e.ids for e in self.tokenizer.encode_batch([french for _, french in pairs])]
        if rng:
            for i, (english, _) in enumerate(pairs):
                if rng.random() < self.args.cut_up:
                    sources[i] = self.splitter.encode(english, 0.1, rng)
        return [(s[:LONGEST], t[:LONGEST]) for s, t in zip(sources, targets, strict=True)]

    def batches(self, number: int) -> Sequence[Batch]:
        rng = random.Random(f"{self.args.seed} {number}")
        return pair_batches(self.encode(self.examples(rng), rng), self.config, self.args.tokens, rng)

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        assert isinstance(module, Transformer)
        device = next(module.parameters()).device
        loss = self.validation_loss(module, self.encode(self.parts["validation"], None))
        wanted = dict(list(references(self.parts["validation"]).items())[: self.args.sample])
        outputs = translate_all(Translator(module, self.tokenizer, str(device)), list(wanted))
        bleu, _ = bleu_chrf(outputs, list(wanted.values()))
        return {"validation_perplexity": math.exp(loss), "validation_bleu": bleu}


def judge(folder: Path, sentences: Path) -> str:
    """Each class sentence, and below it what the saved model makes of it, to be judged by a reader."""
    texts = [line for line in sentences.read_text(encoding="utf-8").splitlines() if line]
    outputs = translate_all(Translator.open(folder), texts)
    pairs = zip(texts, outputs, strict=True)
    return "\n".join(f"{number:2} {text}\n   {output}" for number, (text, output) in enumerate(pairs, 1))


def opened(args: argparse.Namespace, parts: dict[str, list[Pair]]) -> tuple[Tokenizer, Transformer]:
    """Tokenizer and module: those of `--start`, or new ones; the tokenizer of a run that is going on."""
    if args.start:
        tokenizer = Tokenizer.from_file(str(args.start / "tokenizer.json"))
        sizes = json.loads((args.start / "config.json").read_text()) | {"dropout": args.dropout}
        module = Transformer(Config(**sizes))
        read_weights(module, args.start)
        return tokenizer, module
    tokenizer = tokenizer_of(args, parts["train"])
    config = Config(
        tokenizer.get_vocab_size(),
        encoder_layers=args.encoder_layers,
        decoder_layers=args.decoder_layers,
        dropout=args.dropout,
    )
    return tokenizer, Transformer(config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, nargs="?")
    parser.add_argument("--start", type=Path, help="folder of finished weights to go on from")
    parser.add_argument("--judge", type=Path, help="print the saved model's translations of these lines; no training")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens of a batch, both sides and padding counted")
    parser.add_argument("--templates", type=float, default=0.03, help="sentences from templates for each pair")
    parser.add_argument("--timed", type=int, default=5, help="how often sentences with a time stand in a round again")
    parser.add_argument("--cut-up", type=float, default=0.15, help="share of English sentences with BPE-dropout")
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--encoder-layers", type=int, default=3)
    parser.add_argument("--decoder-layers", type=int, default=3)
    parser.add_argument("--sample", type=int, default=400, help="validation sentences that are translated")
    add_options(parser, steps=12_000, peak=4e-4, warmup=400, cooldown=9000, evaluate_every=1000)
    args = parser.parse_args()
    if args.judge:
        print(judge(args.out, args.judge))
        return
    if not args.pairs:
        parser.error("PAIRS.tsv is needed to train")
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    parts = split(read_pairs(args.pairs))
    tokenizer, module = opened(args, parts)
    train(module, EnFr(parts, tokenizer, module.config, args), options_from(args), args.out)


if __name__ == "__main__":
    main()
