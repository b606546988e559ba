"""The training recipe of the bundled English-French weights.

    python -m model.translator.training PAIRS.tsv --out runs/en-fr

PAIRS.tsv: English, tab, French, one pair a line. The run is seeded, writes a checkpoint after each epoch and resumes
from it when started again. The learning rate warms up, stays constant, and falls to zero over the last `--cooldown`
epochs, so a finished run can be extended: start it again from an earlier checkpoint with more epochs.

On Linux, MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ set to a few GB keep glibc from returning
memory to the system after every step; a step on two cores took 1.0 s with them and 1.6 s without.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from model.translator.tokenizer_training import train_tokenizer
from model.translator.transformer import Config, Transformer

Pair = tuple[str, str]
TEST_SENTENCES, VALIDATION_SENTENCES = 2500, 1000
CHECKPOINT = "checkpoint.pt"


def read_pairs(path: Path) -> list[Pair]:
    """English-French pairs of a tab-separated UTF-8 file; further columns are ignored.

    Raises:
        ValueError: a line has no tab; with its number.
    """
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        columns = line.split("\t")
        if len(columns) < 2:
            raise ValueError(f"{path}, line {number}: expected English, tab, French; got {line!r}")
        pairs.append((columns[0], columns[1]))
    return pairs


def split(pairs: Sequence[Pair], seed: int = 2017) -> dict[str, list[Pair]]:
    """Pairs by part, "train", "validation" and "test", which share no English sentence.

    Sentences that differ only in case and punctuation count as the same.
    """

    def key(pair: Pair) -> str:
        return re.sub(r"[^\w]+", " ", pair[0].casefold()).strip()

    keys = sorted({key(pair) for pair in pairs})
    random.Random(seed).shuffle(keys)
    test = set(keys[:TEST_SENTENCES])
    validation = set(keys[TEST_SENTENCES : TEST_SENTENCES + VALIDATION_SENTENCES])
    parts: dict[str, list[Pair]] = {"train": [], "validation": [], "test": []}
    for pair in pairs:
        k = key(pair)
        parts["test" if k in test else "validation" if k in validation else "train"].append(pair)
    return parts


def augment(pair: Pair, others: Sequence[Pair], rng: random.Random) -> Pair:
    """A pair as is, or at random in lower case, without its full stop, or joined with another pair."""
    english, french = pair
    draw = rng.random()
    if draw < 0.06:
        return english.lower(), french
    if draw < 0.10 and english[-1:] in ".!" and french[-1:] in ".!":
        return english[:-1].rstrip(), french[:-1].rstrip()
    if draw < 0.15:
        more = rng.choice(others)
        return f"{english} {more[0]}", f"{french} {more[1]}"
    return pair


def batches(
    pairs: Sequence[Pair], tokenizer: Tokenizer, config: Config, tokens: int, rng: random.Random | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of source and target ids, each of pairs of similar length.

    Args:
        tokens: largest number of tokens in a batch, both sides and padding counted.
        rng: augments the pairs and shuffles the batches; None does neither.

    Yields:
        source int64 [batch, s] ending with eos; target int64 [batch, t + 1] from bos to eos; both padded at the end.
    """
    varied = [augment(pair, pairs, rng) for pair in pairs] if rng else pairs
    sources = [e.ids[: config.max_tokens - 1] for e in tokenizer.encode_batch([english for english, _ in varied])]
    targets = [e.ids[: config.max_tokens - 1] for e in tokenizer.encode_batch([french for _, french in varied])]
    order = sorted(range(len(varied)), key=lambda i: (len(sources[i]), len(targets[i]), rng.random() if rng else 0.0))
    groups: list[list[int]] = [[]]
    width = 0
    for i in order:
        longest = max(width, len(sources[i]) + len(targets[i]) + 3)
        if groups[-1] and (len(groups[-1]) + 1) * longest > tokens:
            groups.append([])
            longest = len(sources[i]) + len(targets[i]) + 3
        groups[-1].append(i)
        width = longest
    if rng:
        rng.shuffle(groups)

    def pad(rows: list[list[int]]) -> Tensor:
        longest = max(map(len, rows))
        return torch.tensor([row + [config.pad] * (longest - len(row)) for row in rows])

    for group in groups:
        yield (
            pad([[*sources[i], config.eos] for i in group]),
            pad([[config.bos, *targets[i], config.eos] for i in group]),
        )


def smoothed_loss(model: Transformer, source: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy per target token, in nats, with label smoothing (Vaswani et al. 2017, §5.4).

    Args:
        source: int64 [batch, s]; target: int64 [batch, t + 1], from bos to eos. Padding is left out of the mean.
        smoothing: share of the probability that is spread over all tokens.
    """
    hidden, mask = model.encode(source)
    decoded = model.decode(target[:, :-1], hidden[-1], mask)[-1]
    labels = target[:, 1:]
    real = labels != model.config.pad
    logits = model.project(decoded[real])  # [token, vocab]
    return torch.nn.functional.cross_entropy(logits.float(), labels[real], label_smoothing=smoothing)


def learning_rate(step: int, total: int, peak: float, warmup: int, cooldown: int) -> float:
    """Learning rate at a step: rising over `warmup` steps, constant, falling to zero over the last `cooldown` steps.

    Args:
        step: zero-based; total: number of steps; peak: the largest rate.
    """
    return peak * min(1.0, (step + 1) / warmup, max(0.0, (total - step) / max(cooldown, 1)))


def save(model: Transformer, tokenizer: Tokenizer, folder: Path) -> None:
    """Write half-precision weights, tokenizer and config to a folder that `model.load` opens."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors"
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(asdict(model.config), indent=2) + "\n")


@dataclass
class TrainingRun:
    """A training run that can be saved to a checkpoint and resumed.

    Attributes:
        epoch, step: number of finished epochs and optimizer steps.
        seconds: time spent in finished epochs.
    """

    model: Transformer
    optimizer: torch.optim.Optimizer
    tokenizer: Tokenizer
    options: argparse.Namespace
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0

    def loss(self, source: Tensor, target: Tensor, smoothing: float) -> Tensor:
        """The smoothed loss of a batch, its matrix products computed in bfloat16."""
        # Weights, sums and norms stay in float32; only the matrix products run in bfloat16. On sentences of eight
        # tokens plain products beat the fused kernel, whose backward pass took a third of the time on a CPU.
        device = self.options.device
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            return smoothed_loss(self.model, source.to(device), target.to(device), smoothing)

    def train_epoch(self, pairs: Sequence[Pair]) -> bool:
        """Train for one epoch; returns False where `--steps-at-most` ended it early."""
        options, start = self.options, time.monotonic()
        seed = options.seed + self.epoch  # seeded by the epoch, so that a resumed run sees the batches of a whole one
        epoch_batches = list(batches(pairs, self.tokenizer, self.model.config, options.tokens, random.Random(seed)))
        torch.manual_seed(seed)
        total, cooldown = len(epoch_batches) * options.epochs, round(len(epoch_batches) * options.cooldown)
        self.model.train()
        mean = 0.0
        bar = tqdm(epoch_batches, desc=f"epoch {self.epoch + 1}/{options.epochs}", mininterval=10)
        for source, target in bar:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.step, total, options.peak, options.warmup, cooldown)
            value = self.loss(source, target, options.smoothing)
            self.optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            mean = value.item() if mean == 0.0 else 0.98 * mean + 0.02 * value.item()
            bar.set_postfix(loss=f"{mean:.3f}", refresh=False)
            if self.step == options.steps_at_most:
                return False
        self.epoch += 1
        self.seconds += time.monotonic() - start
        return True

    @torch.no_grad()
    def validation_loss(self, pairs: Sequence[Pair]) -> float:
        """Mean cross-entropy of the batches of held-out pairs, in nats per token."""
        self.model.eval()
        losses = [
            self.loss(source, target, 0.0).item()
            for source, target in batches(pairs, self.tokenizer, self.model.config, self.options.tokens, None)
        ]
        return sum(losses) / len(losses)

    def save_checkpoint(self, file: Path) -> None:
        """Write all that a resumed run needs, so that an interrupted write leaves the earlier checkpoint."""
        progress = {"epoch": self.epoch, "step": self.step, "seconds": self.seconds}
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()} | progress
        torch.save(state, file.with_suffix(".new"))
        file.with_suffix(".new").replace(file)

    def load_checkpoint(self, file: Path) -> None:
        """Resume from a checkpoint that `save_checkpoint` wrote."""
        state = torch.load(file, map_location=self.options.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]


def parse_options() -> argparse.Namespace:
    """The command line's options; those of `Config` under their names there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/en-fr"))
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--cooldown", type=float, default=8, help="epochs over which the rate falls to zero")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens in a batch, both sides and padding counted")
    parser.add_argument("--peak", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=2000)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=2017)
    parser.add_argument("--steps-at-most", type=int, default=None, help="stop early: to try the recipe out")
    for option in fields(Config):
        if option.name not in ("pad", "bos", "eos", "unk"):
            default = 8000 if option.name == "vocab_size" else option.default
            parser.add_argument(f"--{option.name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


def start_run(options: argparse.Namespace, training_pairs: Sequence[Pair]) -> TrainingRun:
    """A run with the tokenizer and the checkpoint of its folder, or with new ones."""
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer_file, checkpoint_file = options.out / "tokenizer.json", options.out / CHECKPOINT
    if tokenizer_file.exists():
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    else:
        tokenizer = train_tokenizer([side for pair in training_pairs for side in pair], options.vocab_size)
        tokenizer.save(str(tokenizer_file))
    sizes = {option.name: getattr(options, option.name) for option in fields(Config) if hasattr(options, option.name)}
    config = Config(**(sizes | {"vocab_size": tokenizer.get_vocab_size()}))
    model = Transformer(config).to(options.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.peak, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.01, fused=True
    )
    run = TrainingRun(model, optimizer, tokenizer, options)
    if checkpoint_file.exists():
        run.load_checkpoint(checkpoint_file)
    return run


def main() -> None:
    options = parse_options()
    torch.manual_seed(options.seed)
    parts = split(read_pairs(options.pairs))
    run = start_run(options, parts["train"])
    parameters = sum(p.numel() for p in run.model.parameters())
    print(f"{parameters:,} parameters on {options.device}, from epoch {run.epoch}")
    while run.epoch < options.epochs:
        if not run.train_epoch(parts["train"]):
            return
        nats = run.validation_loss(parts["validation"])
        print(f"epoch {run.epoch}: {run.seconds / 60:.0f} min, validation perplexity {math.exp(nats):.3f}", flush=True)
        run.save_checkpoint(options.out / CHECKPOINT)
        save(run.model, run.tokenizer, options.out)


if __name__ == "__main__":
    main()
