"""Train the code model: Python source in, what follows out; a decoder alone.

    python -m model.training.python_source --out runs/python
    python -m model.training.python_source --out runs/python --score

Reads the standard library and the freely licensed packages of requirements.txt from the environment it runs in, and
writes the list of them to `sources.tsv`. A small share of the rows repeats random tokens: only looking back at what
followed the same token last time predicts those, and heads that do so also copy names.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

from model.training.data.sources import Source, collect, pinned, split
from model.training.data.text import save
from model.training.data.tokenizer_training import SPECIALS
from model.training.loop import Batch, train
from model.training.options import add_options, options_from
from model.training.python_score import IGNORED, bits_per_byte, induction, sample_of, score
from model.translator.decoder_only import DecoderOnly
from model.translator.transformer import Config

REQUIREMENTS = Path("requirements.txt")
# Words with the space before them, digits one by one, runs of marks, line ends with the indentation that follows.
PIECES = r" ?\p{L}+| ?\p{N}|\n[\n ]*| ?[^\s\p{L}\p{N}]+|\s+"


def train_code_tokenizer(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer, which gives back every text exactly; a line end and its indentation are one piece."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def stream(tokenizer: Tokenizer, texts: Sequence[str], config: Config) -> Tensor:
    """The ids of all texts one after the other, each behind a start mark. int32 [token]"""
    tokenizer.encode_special_tokens = True  # "</s>" in a string is these letters
    ids: list[int] = []
    for begin in range(0, len(texts), 200):
        for encoding in tokenizer.encode_batch(list(texts[begin : begin + 200])):
            ids += [config.bos, *encoding.ids]
    return torch.tensor(ids, dtype=torch.int32)


def prepare(out: Path, vocab_size: int) -> tuple[Tokenizer, dict[str, Tensor], dict[str, list[str]]]:
    """Tokenizer, training ids and held-out texts; collected at the first call, read from the folder afterwards."""
    files = [out / name for name in ("tokenizer.json", "tokens.pt", "held_out.json")]
    if not all(file.exists() for file in files):
        parts = split(collect(REQUIREMENTS))
        write_list(parts, out / "sources.tsv")
        tokenizer = train_code_tokenizer([source.text for source in parts["train"]], vocab_size)
        ids = stream(tokenizer, [source.text for source in parts["train"]], Config(tokenizer.get_vocab_size()))
        tokenizer.save(str(files[0]))
        torch.save({"train": ids}, files[1])
        files[2].write_text(json.dumps({part: [s.text for s in parts[part]] for part in ("validation", "test")}))
    tokenizer = Tokenizer.from_file(str(files[0]))
    tokenizer.encode_special_tokens = True
    return tokenizer, torch.load(files[1], weights_only=True), json.loads(files[2].read_text())


def write_list(parts: dict[str, list[Source]], file: Path) -> None:
    """The list of what was read: part, package, licence, module, characters."""
    rows = [
        f"{part}\t{s.package}\t{s.licence}\t{s.name}\t{len(s.text)}" for part, sources in parts.items() for s in sources
    ]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def names_of_test_part(out: Path) -> list[str]:
    """Names of the modules of the test part, in the order of their texts."""
    rows = [line.split("\t") for line in (out / "sources.tsv").read_text(encoding="utf-8").splitlines()]
    return [name for part, _, _, name, _ in rows if part == "test"]


class PythonSource:
    """Examples, loss and figures of the code model.

    Args:
        ids: the training stream. int32 [token]
        held: the texts of the validation part.
        args: as `main` reads them.
    """

    short = False

    def __init__(
        self, ids: Tensor, held: Sequence[str], tokenizer: Tokenizer, config: Config, args: argparse.Namespace
    ) -> None:
        self.ids, self.held, self.tokenizer, self.config, self.args = ids, held, tokenizer, config, args

    def batches(self, number: int) -> Sequence[Batch]:
        """An eighth of the stream, cut into windows at an offset that differs between the epochs."""
        epoch, eighth = divmod(number, 8)
        rng = random.Random(f"{self.args.seed} {epoch}")
        length = self.config.max_tokens
        starts = list(range(rng.randrange(length), len(self.ids) - length, length))
        rng.shuffle(starts)
        rng = random.Random(f"{self.args.seed} {number}")
        rows = [self.window(begin) for begin in starts[eighth::8]]
        rows += [self.repeated(rng) for _ in range(round(self.args.repeated * len(rows)))]
        rng.shuffle(rows)
        size = self.args.rows
        groups = [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]
        return [(torch.stack([a for a, _ in group]), torch.stack([b for _, b in group])) for group in groups]

    def window(self, begin: int) -> tuple[Tensor, Tensor]:
        """A start mark and a part of the stream, and what follows each token. int64 [max_tokens] each"""
        part = self.ids[begin : begin + self.config.max_tokens].long()
        return torch.cat([torch.tensor([self.config.bos]), part[:-1]]), part

    def repeated(self, rng: random.Random) -> tuple[Tensor, Tensor]:
        """Random tokens, again and again; only the repetitions are to be predicted. int64 [max_tokens] each"""
        length = rng.randint(16, 120)
        part = [rng.randrange(len(SPECIALS), self.config.vocab_size) for _ in range(length)]
        row = torch.tensor((part * (self.config.max_tokens // length + 1))[: self.config.max_tokens])
        wanted = row.clone()
        wanted[: length + 1] = IGNORED
        return torch.cat([torch.tensor([self.config.bos]), row[:-1]]), wanted

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        ids, wanted = batch
        return F.cross_entropy(module(ids).float().flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        assert isinstance(module, DecoderOnly)
        bits = bits_per_byte(module, self.tokenizer, self.held)
        return {"bits_per_byte": bits, "induction": max(map(max, induction(module)))}

    def save(self, module: nn.Module, folder: Path) -> None:
        save(module, self.tokenizer, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--score", action="store_true", help="score the saved model instead of training")
    parser.add_argument("--rows", type=int, default=8, help="windows in a batch")
    parser.add_argument("--repeated", type=float, default=0.03, help="rows of repeated random tokens for each window")
    parser.add_argument("--context", type=int, default=512, help="tokens of a window, the most the model can read")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--vocab-size", type=int, default=6000)
    add_options(parser, steps=16_000, peak=1e-3, warmup=1000, cooldown=5000, evaluate_every=1000)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer, tokens, held = prepare(args.out, args.vocab_size)
    if args.score:
        sample = sample_of(dict(zip(names_of_test_part(args.out), held["test"], strict=True)), pinned(REQUIREMENTS))
        print(json.dumps(score(args.out, tokenizer, held["test"], sample), indent=1))
        return
    config = Config(
        tokenizer.get_vocab_size(),
        max_tokens=args.context,
        encoder_layers=0,
        decoder_layers=args.layers,
        dropout=args.dropout,
    )
    recipe = PythonSource(tokens["train"], held["validation"], tokenizer, config, args)
    train(DecoderOnly(config), recipe, options_from(args), args.out)


if __name__ == "__main__":
    main()
