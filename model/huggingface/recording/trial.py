"""Trial runs at opening: whether a recorded pass says what the library's own eager attention says."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from model.attention.projections import shallow_copy
from model.attention.record import Record
from model.errors import InputError, OpeningError
from model.huggingface.answers import WORDS, answer
from model.huggingface.opened_model import OpenedModel
from model.huggingface.recording.eager_run import library_attentions, run_eager
from model.huggingface.recording.layers import Layers

# Larger differences are no rounding: another formula, another mask, or an extra that the recorded pass left out.
LARGEST_DIFFERENCE = {torch.float32: 0.01, torch.float64: 0.01}
# Rounding to 8 binary digits moves single weights of a deep model by a half, but few: there, the mean over rows of how
# much attention lies elsewhere is judged.
IN_HALF_PRECISION, SHARE_ELSEWHERE = 0.3, 0.1
TRIAL_IDS = (5, 6, 7, 5, 6, 8)  # two of them repeat


def trial_ids(config: Any, head: str, most: int) -> Tensor:
    """Ids of a short text. int64 [1, token]

    Args:
        config: of the text model; head: what its head answers; most: tokens that it takes.
    """
    ids = torch.tensor([[token % config.vocab_size for token in TRIAL_IDS[:most]]])
    end = getattr(config, "eos_token_id", None)
    if head != WORDS and isinstance(end, int):  # BART's classifier reads off the end mark
        ids[0, -1] = end
    return ids


@torch.inference_mode()
def agrees_with_library(lens: OpenedModel, inputs: dict[str, Tensor], result: Any, recorded: Record) -> bool:
    """Whether weights and answer of a recorded pass are those of the library's own attention on the same inputs.

    Args:
        result: the library's output object of the recorded pass; recorded: its attention calls.
    """
    reference = shallow_copy(lens.module)
    try:
        reference.set_attn_implementation("eager")
        expected = lens.run(reference, inputs, eager=True)
        attentions = library_attentions(expected, None if lens.is_encoder_decoder else lens.single_stack)
        theirs, ours = answer(expected).float(), answer(result).float()
        difference = float((ours - theirs).abs().max() / max(1.0, float(theirs.abs().max())))
        # What checks a trace later is the same code layer by layer: it has to run, too.
        run_eager(lens, inputs, None, lambda *_: None)
    # Whatever the library raises: its own attention does not run on what the recorded pass ran on.
    except Exception:
        return False
    half = next(lens.module.parameters()).dtype not in LARGEST_DIFFERENCE
    limit = IN_HALF_PRECISION if half else LARGEST_DIFFERENCE[next(lens.module.parameters()).dtype]
    return difference <= limit and all(  # NaN agrees with nothing
        _difference(recorded, kind, layers, mean=half) <= (SHARE_ELSEWHERE if half else limit)
        for kind, layers in attentions.items()
    )


def _difference(recorded: Record, kind: str, expected: Sequence[Tensor], *, mean: bool) -> float:
    """Largest difference of an attention weight; 0 where the library returns other layers than those that attended.

    Args:
        mean: of each layer, the mean over rows of the share of attention that lies elsewhere instead.
    """
    own = [recorded.call(kind, layer).weights_tensor() for layer in sorted(n for k, n in recorded.calls if k == kind)]
    if len(own) != len(expected):
        return 0.0
    difference = 0.0
    for ours, theirs in zip(own, expected, strict=True):
        rows = ours.sum(
            dim=-1, keepdim=True
        )  # less than 1 with sinks, which some families leave out of what they return
        spread = (theirs[0].sum(dim=-1, keepdim=True) - rows).abs().max() > IN_HALF_PRECISION / 100
        apart = ((ours / rows if spread else ours) - theirs[0]).abs()
        difference = max(difference, float(apart.sum(dim=-1).mean() / 2 if mean else apart.max()))
    return difference


def try_tracing(lens: Any) -> None:
    """Trace a short text with a text model, so that what fails fails when the model is opened."""
    target = [TRIAL_IDS[0] % lens.module.config.get_text_config().vocab_size] if lens.is_encoder_decoder else ""
    with suppress(InputError):  # a model whose tokenizer makes nothing of these letters
        lens.trace("a b a", target=target)


def check_rows(layers: Layers, sinks: bool) -> None:
    """Raise an error where what a family returns as weights is none: a row has to sum to 1.

    Args:
        layers: of the trial run, for each kind and sentence.
        sinks: rows may sum to less.

    Raises:
        OpeningError: says so.
    """
    for rows in layers.values():
        for layer in rows[0]:
            weights = layer.weights()
            sums = weights.sum(axis=-1)
            if (weights < 0).any() or ((abs(sums - 1) > 0.01).any() and not (sinks and (sums < 1.01).all())):
                raise OpeningError(
                    "what it returns as attention weights does not sum to 1: part of the attention goes elsewhere, "
                    "or they are no weights"
                )
