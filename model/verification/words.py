"""The comparison of what a trace shows as words with the ids that were fed and the logits of the independent run."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.trace.tokens import Tokens
from model.trace.trace import Trace
from model.verification.comparison import Comparison, largest_magnitude

MAX_PREDICTED = 64  # next words that are compared in one text
PART = re.compile(r" \d+/\d+$")  # of a character that is split into tokens


class Vocabulary(Protocol):
    """What ids stand for.

    Attributes:
        never: ids that the model does not write.
        never_first: ids that it does not begin an output with.
        forced: how many of the first ids of an output its settings write.
    """

    @property
    def never(self) -> Sequence[int]: ...

    @property
    def never_first(self) -> Sequence[int]: ...

    @property
    def forced(self) -> int: ...

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Each id as the tokenizer writes it, such as "Ġcat"."""
        ...

    def spelled(self, piece: str) -> str | None:
        """The text of a piece alone; None where it stands for none, as a part of a character does."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """The text of an output."""
        ...

    def next_word(self, before: Sequence[int], next_id: int) -> str:
        """The label of an id that follows others."""
        ...


def add_words(
    comparison: Comparison,
    trace: Trace,
    vocabulary: Vocabulary,
    fed: Mapping[str, Sequence[int]],
    logits: Tensor | None,
    written: Sequence[int] | None,
    output_ids: Sequence[int] | None = None,
) -> None:
    """Compare the words of a trace: ids, labels, and what was written.

    Args:
        fed: stack -> the ids that the model read, with padding.
        logits: of the independent run behind the tokens of the last stack and behind those of `written` that are no
            tokens of the trace, [token, vocab]; None where it gives none.
        written: ids that the model chose itself, each as the likeliest; None where they were forced.
        output_ids: ids of the output; by default the decoder's behind its prompt.
    """
    for stack, ids in trace.ids.items():
        pieces = vocabulary.pieces(fed[stack][: len(ids)])
        comparison.add("tokens", share_of_differences(ids, fed[stack][: len(ids)]), 0.0, stack)
        comparison.add("labels", label_errors(trace.tokens[stack], pieces, vocabulary), 0.0, stack)
    add_sides(comparison, trace)
    if trace.sound is not None:
        times = [f"{i * trace.sound.step:.2f} s" for i in range(len(trace.tokens["encoder"]))]
        comparison.add("labels", share_of_differences(trace.tokens["encoder"].texts, times), 0.0, "encoder")
    if output_ids is None and "decoder" in trace.ids and "encoder" in trace.ids:
        output_ids = fed["decoder"][trace.prompt_length : len(trace.ids["decoder"])]
    if trace.output is not None and output_ids is not None:
        comparison.add("words", float(trace.output != vocabulary.text(output_ids)), 0.0, "output")
    if logits is None:
        return
    tokens = trace.ids.get("decoder", ())
    margin = 20 * comparison.logit_limit(largest_magnitude(logits))
    if written:
        rows = np.array(to_numpy(logits[trace.prompt_length - 1 + vocabulary.forced :]))
        rows[:1, list(vocabulary.never_first)] = -np.inf
        comparison.add("words", unlikely(rows, written[vocabulary.forced :], vocabulary.never, margin), 0.0, "output")
    if trace.predicted is not None and len(tokens):
        error = _predicted_errors(trace.predicted, tokens, logits, vocabulary, margin)
        comparison.add("words", error, 0.0, "next")


def add_picture(comparison: Comparison, trace: Trace, classes: list[tuple[str, float]] | None) -> None:
    """Compare the words of a picture: the places of its patches, and its class. classes: likeliest first"""
    assert trace.picture is not None
    columns, first = trace.picture.columns, trace.picture.first
    places = [f"{i // columns},{i % columns}" for i in range(trace.picture.rows * columns)]
    comparison.add("labels", share_of_differences(trace.tokens["encoder"].texts[first:], places), 0.0, "encoder")
    add_sides(comparison, trace)
    if classes is not None or trace.output is not None:
        comparison.add("words", float(not classes or trace.output != classes[0][0]), 0.0, "output")


def add_sides(comparison: Comparison, trace: Trace) -> None:
    """Compare the tokens of both sides of each kind of attention with those of its stacks."""
    for kind, attention in trace.attentions.items():
        asking, asked = ("decoder", "encoder") if kind == "cross" else (kind, kind)
        for stack, labels in ((asking, attention.query_tokens), (asked, attention.key_tokens)):
            comparison.add("labels", share_of_differences(labels, trace.tokens[stack].texts), 0.0, kind)


def share_of_differences(found: Sequence[object], expected: Sequence[object]) -> float:
    """Share of the places at which two sequences differ; 1 where one is longer."""
    if len(found) != len(expected):
        return 1.0
    return sum(one != other for one, other in zip(found, expected, strict=True)) / max(len(expected), 1)


def label_errors(tokens: Tokens, pieces: Sequence[str], vocabulary: Vocabulary) -> float:
    """Share of the tokens whose label does not have the letters of their piece."""
    texts = tokens.texts[: len(pieces)]
    if len(texts) != len(pieces):
        return 1.0
    raw = tokens.raw[: len(pieces)]
    wrong = share_of_differences(raw, pieces) if raw and all(pieces) else 0.0
    differ = [not _fits(label, piece, vocabulary) for label, piece in zip(texts, pieces, strict=True)]
    return max(wrong, sum(differ) / max(len(differ), 1))


def _fits(label: str, piece: str, vocabulary: Vocabulary) -> bool:
    """Whether a label can be that of a piece: the same letters and digits, whatever their case and accents."""
    if label == piece or PART.search(label):
        return True
    spelled = vocabulary.spelled(piece)
    if spelled is None:
        return True
    expected, found = _letters(spelled), _letters(label)
    return expected == found or not expected


def _letters(text: str) -> str:
    """Letters and digits of a text, without case and accents."""
    return "".join(one for one in unicodedata.normalize("NFKD", text).casefold() if one.isalnum())


def unlikely(logits: Array, written: Sequence[int], never: Sequence[int], margin: float) -> float:
    """Share of the ids that are not the likeliest of those a model may write.

    Args:
        logits: before each, [id, vocab]; margin: by how much two runs may differ.
    """
    if not len(written):
        return 0.0
    if len(logits) < len(written):
        return 1.0
    rows = np.array(logits[: len(written)], dtype=np.float64)
    rows[:, list(never)] = -np.inf
    highest = rows.max(-1)
    chosen = rows[np.arange(len(written)), list(written)]
    return float((chosen < highest - margin).mean())


def _predicted_errors(
    predicted: Sequence[str], tokens: Sequence[int], logits: Tensor, vocabulary: Vocabulary, margin: float
) -> float:
    """Share of the words given as the likeliest next ones that are not; of many, some are looked at."""
    if len(predicted) < len(tokens) or len(logits) < len(tokens):
        return 1.0
    looked_at = wrong = 0
    for place in range(0, len(tokens), max(len(tokens) // MAX_PREDICTED, 1)):
        (first, second), ids = logits[place].topk(2)
        if float(first - second) <= margin:
            continue  # which of both is first, is rounding
        looked_at += 1
        expected = vocabulary.next_word(tokens[: place + 1], int(ids[0]))
        wrong += predicted[place].removeprefix("·") != expected.removeprefix("·")
    return wrong / max(looked_at, 1)
