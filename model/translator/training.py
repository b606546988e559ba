"""The recipe that made the bundled English-French weights.

    python -m model.translator.training PAIRS.tsv --out runs/en-fr

PAIRS.tsv: English, tab, French, one pair a line. The run is seeded, keeps a checkpoint after each epoch and goes on
from it when started again. The learning rate warms up, stays, and falls to zero over the last `--cooldown` epochs, so
a finished run can be prolonged: start it again from an earlier checkpoint with more epochs.

On Linux, MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ set to a few GB keep glibc from handing
memory back after every step; a step on two cores took 1.0 s with them and 1.6 s without.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from model.translator.transformer import Config, Transformer

Pair = tuple[str, str]
SPECIALS = ["<pad>", "<s>", "</s>", "<unk>"]  # ids 0-3: Config.pad, bos, eos, unk
TEST_SENTENCES, VALIDATION_SENTENCES = 2500, 1000


def read_pairs(path: Path) -> list[Pair]:
    """English-French pairs of a tab-separated UTF-8 file; further columns are ignored."""
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        columns = line.split("\t")
        if len(columns) < 2:
            raise ValueError(f"{path}, line {number}: expected English, tab, French; got {line!r}")
        pairs.append((columns[0], columns[1]))
    return pairs


def split(pairs: Sequence[Pair], seed: int = 2017) -> dict[str, list[Pair]]:
    """Training, validation and test pairs that share no English sentence, whatever its case and punctuation."""

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


def train_tokenizer(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """A BPE tokenizer (Sennrich et al. 2016) shared by both languages; "▁" marks the start of a word."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(Regex("[\u2018\u2019\u201b\u02bc\u2032\u00b4`]"), "'"),
            normalizers.Replace(Regex("[\u201c\u201d\u201e\u201f\u2033]"), '"'),
            normalizers.Replace(Regex("[\u2010-\u2015]"), "-"),
            normalizers.Replace("\u2026", "..."),
            normalizers.Replace(Regex(r"[\s\p{C}\u2581]+"), " "),
            normalizers.Strip(),
        ]
    )
    # Elided words ("l'", "qu'"), punctuation and digits stand alone, so that heads can point at them.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Split(Regex(r"(?i)▁(?:[ldjmtsnc]|qu|jusqu|lorsqu|puisqu|quelqu)'(?=\p{L})"), "isolated"),
            pre_tokenizers.Split(Regex(r"▁?[^\p{L}\p{N}▁']"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=SPECIALS, limit_alphabet=160, min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def vary(pair: Pair, others: Sequence[Pair], rng: random.Random) -> Pair:
    """The pair as somebody else might type it: in lower case, without the full stop, two sentences at once."""
    english, french = pair
    luck = rng.random()
    if luck < 0.06:
        return english.lower(), french
    if luck < 0.10 and english[-1:] in ".!" and french[-1:] in ".!":
        return english[:-1].rstrip(), french[:-1].rstrip()
    if luck < 0.15:
        more = rng.choice(others)
        return f"{english} {more[0]}", f"{french} {more[1]}"
    return pair


def batches(
    pairs: Sequence[Pair], tokenizer: Tokenizer, config: Config, tokens: int, rng: random.Random | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Source and target ids of pairs of like length, about `tokens` tokens each, in random order where there is an rng.

    Yields:
        source int64 [batch, s] ending with eos; target int64 [batch, t + 1] from bos to eos; both padded at the end.
    """
    varied = [vary(pair, pairs, rng) for pair in pairs] if rng else pairs
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
    """Mean cross-entropy per target token with label smoothing (§5.4); padding counts nothing."""
    hidden, mask = model.encode(source)
    decoded = model.decode(target[:, :-1], hidden[-1], mask)[-1]
    wanted = target[:, 1:]
    real = wanted != model.config.pad
    logits = model.project(decoded[real])  # [token, vocab]
    return torch.nn.functional.cross_entropy(logits.float(), wanted[real], label_smoothing=smoothing)


def rate(step: int, total: int, peak: float, warmup: int, cooldown: int) -> float:
    """Learning rate at a step: up over `warmup` steps, level, down to zero over the last `cooldown`."""
    return peak * min(1.0, (step + 1) / warmup, max(0.0, (total - step) / max(cooldown, 1)))


def save(model: Transformer, tokenizer: Tokenizer, folder: Path) -> None:
    """Write half-precision weights, tokenizer and config: what `model.load` opens."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors"
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(asdict(model.config), indent=2) + "\n")


def main() -> None:
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
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    parts = split(read_pairs(args.pairs))
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer_file, checkpoint_file = args.out / "tokenizer.json", args.out / "checkpoint.pt"
    if tokenizer_file.exists():
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    else:
        tokenizer = train_tokenizer([side for pair in parts["train"] for side in pair], args.vocab_size)
        tokenizer.save(str(tokenizer_file))
    sizes = {option.name: getattr(args, option.name) for option in fields(Config) if hasattr(args, option.name)}
    config = Config(**(sizes | {"vocab_size": tokenizer.get_vocab_size()}))
    model = Transformer(config).to(args.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.peak, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.01, fused=True
    )
    epoch, step, seconds = 0, 0, 0.0
    if checkpoint_file.exists():
        kept = torch.load(checkpoint_file, map_location=args.device, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        epoch, step, seconds = kept["epoch"], kept["step"], kept["seconds"]
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters on {args.device}, from epoch {epoch}")

    def loss(source: Tensor, target: Tensor, smoothing: float) -> Tensor:
        # Weights, sums and norms stay in float32; only the matrix products run in bfloat16. On sentences of eight
        # tokens plain products beat the fused kernel, whose backward pass took a third of the time on a CPU.
        with torch.autocast(torch.device(args.device).type, dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            return smoothed_loss(model, source.to(args.device), target.to(args.device), smoothing)

    while epoch < args.epochs:
        begun = time.monotonic()
        # Seeded by the epoch, so that a resumed run sees the batches it would have seen.
        todo = list(batches(parts["train"], tokenizer, config, args.tokens, random.Random(args.seed + epoch)))
        torch.manual_seed(args.seed + epoch)
        total, cooldown = len(todo) * args.epochs, round(len(todo) * args.cooldown)
        model.train()
        mean = 0.0
        bar = tqdm(todo, desc=f"epoch {epoch + 1}/{args.epochs}", mininterval=10)
        for source, target in bar:
            for group in optimizer.param_groups:
                group["lr"] = rate(step, total, args.peak, args.warmup, cooldown)
            value = loss(source, target, args.smoothing)
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            mean = value.item() if mean == 0.0 else 0.98 * mean + 0.02 * value.item()
            bar.set_postfix(loss=f"{mean:.3f}", refresh=False)
            if step == args.steps_at_most:
                return
        epoch += 1
        seconds += time.monotonic() - begun
        model.eval()
        with torch.no_grad():
            held_out = [
                loss(source, target, 0.0).item()
                for source, target in batches(parts["validation"], tokenizer, config, args.tokens, None)
            ]
        nats = sum(held_out) / len(held_out)
        print(f"epoch {epoch}: {seconds / 60:.0f} min, validation perplexity {math.exp(nats):.3f}", flush=True)
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "epoch": epoch,
            "step": step,
            "seconds": seconds,
        }
        torch.save(state, checkpoint_file.with_suffix(".new"))
        checkpoint_file.with_suffix(".new").replace(checkpoint_file)
        save(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
