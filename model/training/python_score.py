"""Figures of the code model: bits per byte, induction heads, lines that it completes."""

from __future__ import annotations

import ast
import json
import lzma
import math
import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from model.attention.record import record
from model.training.data.text import padded
from model.translator.decoder_only import DecoderOnly

IGNORED = -100  # targets that F.cross_entropy leaves out
SHORT, SAMPLED, SAMPLE_LINES = (1000, 6000), 5, 20  # letters of a module of the sample; modules, and lines in them
INCOMPLETE = 0x4000  # CPython's PyCF_ALLOW_INCOMPLETE_INPUT: a beginning is an error of its own


@torch.no_grad()
def bits_per_byte(module: DecoderOnly, tokenizer: Tokenizer, texts: Sequence[str], batch: int = 16) -> float:
    """Mean bits per byte of UTF-8 of texts, all predicted from the left.

    Windows as long as the model can read overlap by half, so that each token but those at the start of a text has at
    least half a window before it.
    """
    length, config = module.config.max_tokens, module.config
    rows, counted = [], []
    for text in texts:
        ids = tokenizer.encode(text).ids
        for begin in range(0, max(len(ids) - length // 2, 1), length // 2):
            part = ids[begin : begin + length]
            known = length // 2 if begin else 0  # counted in the window before
            rows.append([config.bos, *part[:-1]])
            counted.append([IGNORED] * known + part[known:])
    device = module.embedding.weight.device
    nats = 0.0
    for begin in range(0, len(rows), batch):
        fed = padded(rows[begin : begin + batch]).to(device)
        targets = padded(counted[begin : begin + batch], IGNORED).to(device)
        logits = module(fed).float().flatten(0, 1)
        nats += F.cross_entropy(logits, targets.flatten(), reduction="sum", ignore_index=IGNORED).item()
    return nats / math.log(2) / sum(len(text.encode()) for text in texts)


@torch.no_grad()
def induction(module: DecoderOnly, length: int = 50, rows: int = 8, seed: int = 0) -> list[list[float]]:
    """For each layer and head: the weight on the token that followed the same token last time (Olsson et al. 2022).

    Mean over the second half of random tokens that stand there twice.
    """
    rng = torch.Generator().manual_seed(seed)
    part = torch.randint(4, module.config.vocab_size, (rows, length), generator=rng)
    ids = torch.cat([torch.full((rows, 1), module.config.bos), part, part], dim=1)
    with record() as kept:
        module(ids.to(module.embedding.weight.device))
    queries = torch.arange(length + 1, 2 * length)  # the last token of the second half is left out: nothing follows it
    found = []
    for layer in range(module.config.decoder_layers):
        weights = kept.calls["decoder", layer].weights()  # [row, head, query, key]
        found.append(weights[:, :, queries, queries - length + 1].mean(dim=(0, 2)).tolist())
    return found


def parses(source: str) -> bool:
    """Whether a source is Python, or the beginning of it."""
    try:
        compile(source, "<text>", "exec", flags=ast.PyCF_ONLY_AST | INCOMPLETE, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return "incomplete input" in str(error)
    return True


def statements(source: str) -> list[int]:
    """Zero-based numbers of the lines that are one whole statement of at least eight letters."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno == node.end_lineno:
            found.add(node.lineno - 1)
    lines = source.split("\n")
    return sorted(number for number in found if number >= 5 and len(lines[number].strip()) >= 8)


def completions(
    module: DecoderOnly, tokenizer: Tokenizer, texts: Sequence[str], count: int = 300, seed: int = 0
) -> list[dict[str, object]]:
    """Lines of held-out modules of which the model saw the first half, and what lies before them.

    Returns:
        for each: "given" (half a line), "written" (the rest of it), "model" (what the model makes of it), whether the
        module up to the completed line "parses", and whether the line is "same" as the written one.
    """
    rng = random.Random(seed)
    places = [(text, number) for text in texts for number in statements(text)]
    ends = frozenset(i for token, i in tokenizer.get_vocab().items() if token.startswith("Ċ"))  # "\n" and what follows
    found: list[dict[str, object]] = []
    for text, number in rng.sample(places, min(count, len(places))):
        lines = text.split("\n")
        before, line = "\n".join(lines[:number]) + "\n", lines[number]
        indent = len(line) - len(line.lstrip())
        half = indent + (len(line) - indent) // 2
        ids = tokenizer.encode(before + line[:half]).ids[-(module.config.max_tokens - 80) :]
        rest = tokenizer.decode(module.complete([module.config.bos, *ids], ends, 60), skip_special_tokens=False)
        made = {"given": line[:half], "written": line[half:], "model": rest}
        same = rest.rstrip() == line[half:].rstrip()
        found.append(made | {"parses": parses(before + line[:half] + rest + "\n"), "same": same})
    return found


def sample_of(texts: Mapping[str, str], packages: Collection[str]) -> dict[str, str]:
    """A few short modules of some packages, by their names: those that every environment of the app has alike."""
    fitting = [name for name in sorted(texts) if name.split("/")[0] in packages]
    short = [name for name in fitting if SHORT[0] <= len(texts[name]) <= SHORT[1]]
    return {name: texts[name] for name in short[:SAMPLED]}


def sample_scores(module: DecoderOnly, tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, float]:
    """Bits per byte, and the share of completed lines that parse in percent, of a few modules."""
    lines = completions(module, tokenizer, texts, SAMPLE_LINES)
    parse = 100 * sum(bool(line["parses"]) for line in lines) / max(len(lines), 1)
    return {"bits_per_byte": round(bits_per_byte(module, tokenizer, texts), 3), "lines_that_parse": round(parse, 1)}


def score(folder: Path, tokenizer: Tokenizer, texts: Sequence[str], sample: Mapping[str, str]) -> dict[str, object]:
    """All figures of the saved model on modules it never saw, written to `scores.json` too.

    Args:
        sample: a few of them by their names, scored on their own for the tests.
    """
    module = DecoderOnly.open(folder)
    joined = "".join(texts).encode()
    heads = induction(module)
    best = max((value, layer, head) for layer, row in enumerate(heads) for head, value in enumerate(row))
    lines = completions(module, tokenizer, texts)
    found: dict[str, object] = {
        "modules": len(texts),
        "bytes": len(joined),
        "bits_per_byte": round(bits_per_byte(module, tokenizer, texts), 3),
        "xz_9_bits_per_byte": round(8 * len(lzma.compress(joined, preset=9)) / len(joined), 3),
        "bytes_per_token": round(len(joined) / sum(len(tokenizer.encode(text).ids) for text in texts), 2),
        "induction_best": {"score": round(best[0], 3), "layer": best[1], "head": best[2]},
        "induction": [[round(value, 3) for value in row] for row in heads],
        "lines": len(lines),
        "lines_that_parse": round(100 * sum(bool(line["parses"]) for line in lines) / len(lines), 1),
        "lines_as_written": round(100 * sum(bool(line["same"]) for line in lines) / len(lines), 1),
    }
    if sample:
        found["sample"] = {"modules": list(sample)} | sample_scores(module, tokenizer, list(sample.values()))
    (folder / "scores.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "lines.json").write_text(json.dumps(lines, indent=1) + "\n")
    return found
