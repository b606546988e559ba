"""Every head measured over many sentences: means with intervals, sentence by sentence (NumPy only)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from model.arrays.types import Array
from model.errors import InputError
from model.lab.measurement import LeftOut, Measurement
from model.lab.measures import MEASURES, all_measures
from model.lab.resampling import intervals
from model.measures.heads.head_characters import MAX_TOKENS
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.trace import Target, Trace
from model.turns import rest

RESAMPLES = 1000


def measure(
    lens: Lens,
    sentences: Sequence[str],
    measures: Sequence[str] | None = None,
    edits: Edits | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    *,
    targets: Sequence[Target] | None = None,
    aligners: Sequence[tuple[int, int]] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Measurement:
    """Every measure of every head over many sentences, with 95 % bootstrap intervals over the sentences.

    One sentence at a time is in memory; of each, one number a head and measure is kept. Equal seeds give equal bits.

    Args:
        lens: an opened model that reads texts, here or on a server.
        sentences: one text each.
        measures: names of `model.lab.measures.MEASURES`; None for all.
        edits: changes applied in every pass.
        resamples: number of times that as many sentences are drawn again.
        targets: an output to force for each sentence, as in `lens.trace`; by default an encoder-decoder writes its own
            and a decoder reads the sentence alone.
        aligners: reference heads of cross-attention (`published_aligners`), for "fed_in" and "predicted".
        progress: called with the number of sentences done, and of all; what it raises ends the work.

    Raises:
        InputError: there is no sentence, none can be read, or the model reads something else than texts.
        ValueError: a measure is not known, or there are not as many targets as sentences.
    """
    wanted = tuple(MEASURES if measures is None else measures)
    _check(lens, sentences, wanted, targets, resamples)
    alone = "" if lens.writes and not lens.is_encoder_decoder else None
    given = list(targets) if targets is not None else [alone] * len(sentences)
    used: list[str] = []
    left_out: list[LeftOut] = []
    rows: list[dict[str, tuple[Array, Array]]] = []
    layers: dict[str, tuple[int, ...]] = {}
    for done, (sentence, target) in enumerate(zip(sentences, given, strict=True)):
        progress(done, len(sentences))
        try:
            trace = _trace(lens, sentence, target, edits)
        except InputError as error:
            left_out.append(LeftOut(sentence, error.reason, str(error)))
            continue
        rows.append(
            {
                kind: all_measures(attention, _ids(trace, kind), aligners, wanted)
                for kind, attention in trace.attentions.items()
            }
        )
        layers |= {kind: attention.layer_index for kind, attention in trace.attentions.items()}
        used.append(sentence)
        del trace
        rest(everyone=True)
    progress(len(sentences), len(sentences))
    if not rows:
        raise InputError("lab_unread", f"None of the sentences can be read. The first: {left_out[0].why}")
    return _summary(rows, layers, wanted, (tuple(used), tuple(left_out)), resamples, seed)


def _check(
    lens: Lens, sentences: Sequence[str], wanted: Sequence[str], targets: Sequence[Target] | None, resamples: int
) -> None:
    """Refuse what cannot be measured, with a sentence that says what to do."""
    if isinstance(sentences, str):
        raise InputError("lab_one_text", "Give a list of sentences, such as text.splitlines(), not one text.")
    if lens.takes != "text":
        raise InputError(
            "lab_takes", f"The lab measures texts, and this model reads {lens.takes}s. Pick another model."
        )
    if not any(str(sentence).strip() for sentence in sentences):
        raise InputError(
            "lab_empty", "There are no sentences to measure. Give a list with at least one, two for an interval."
        )
    if unknown := [name for name in wanted if name not in MEASURES]:
        raise ValueError(f"unknown measures {unknown}; choose of {', '.join(MEASURES)}")
    if not wanted:
        raise ValueError(f"no measure is named; choose of {', '.join(MEASURES)}, or None for all")
    if targets is not None and len(targets) != len(sentences):
        raise ValueError(f"{len(targets)} targets for {len(sentences)} sentences; give one each")
    if resamples < 100:
        raise ValueError(f"resamples is {resamples}; an interval needs at least 100")


def _trace(lens: Lens, sentence: str, target: Target, edits: Edits | None) -> Trace:
    """The trace of a sentence whose maps are read.

    Raises:
        InputError: it cannot be read, or is too long for that.
    """
    if not sentence.strip():
        raise InputError("lab_blank", "The line is empty.")
    trace = lens.trace(sentence, target, edits)
    tokens = max(len(one) for one in trace.tokens.values())
    if tokens > MAX_TOKENS:
        raise InputError(
            "lab_long",
            f"It has {tokens} tokens; heads are measured on up to {MAX_TOKENS}.",
            tokens=tokens,
            allowed=MAX_TOKENS,
        )
    return trace


def _ids(trace: Trace, kind: str) -> Any:
    """Ids of the tokens that ask and are asked in self-attention; those that ask in cross-attention."""
    return trace.ids.get("encoder" if kind == "encoder" else "decoder")


def _summary(
    rows: Sequence[dict[str, tuple[Array, Array]]],
    layers: dict[str, tuple[int, ...]],
    wanted: tuple[str, ...],
    sentences: tuple[tuple[str, ...], tuple[LeftOut, ...]],
    resamples: int,
    seed: int,
) -> Measurement:
    """The means and intervals of all kinds."""
    values, baselines = ({kind: np.stack([row[kind][part] for row in rows]) for kind in layers} for part in (0, 1))
    found = {kind: intervals(one, resamples, seed) for kind, one in values.items()}
    even = {kind: intervals(one, 100, seed)[0] for kind, one in baselines.items()}
    mean, low, high, counts = ({kind: one[part] for kind, one in found.items()} for part in range(4))
    return Measurement(wanted, *sentences, values, mean, low, high, counts, even, layers, resamples, seed)
