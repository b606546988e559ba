"""Sentences about a trace: the numbers and tokens they name."""

from __future__ import annotations

import pytest

from model.measures.heads.head_steps import head_steps
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.translator.translator import Translator
from viz.language import readings
from viz.language.messages import escape_markdown, say, set_language
from viz.saving import tables


@pytest.fixture(scope="module")
def trace(lens: Translator) -> Trace:
    return lens.trace("That that is, is.", target="Ce qui est, est.")


def test_arithmetic_in_words_ends_at_the_weight(trace: Trace) -> None:
    worked = head_steps(trace.attentions["decoder"], 0, 0, 2)
    assert readings.weight_arithmetic(worked, 1)[-1].endswith(f"= {worked.weights[1]:.4f}")
    assert "-\\infty" in readings.weight_arithmetic(worked, 3)[-1]


@pytest.mark.parametrize(
    ("kind", "edits", "reasons"),
    [
        ("cross", "", {}),
        ("cross", "blocked:cross.0.3", {"blocked": 1}),
        ("encoder", "blocked:encoder.0.2;blocked:encoder.*.0;blocked:encoder.1.1.2", {"blocked": 8}),
        ("encoder", "masks:encoder.0=window2", {"far": 20}),
        ("encoder", "masks:encoder.*=block3;blocked:encoder.0.1", {"blocked": 1, "block": 30}),
        ("encoder", "masks:encoder.0=causal;blocked:encoder.3.1", {"later": 21, "blocked": 1}),
        ("decoder", "blocked:decoder.3.1;blocked:decoder.0.5", {"later": 21, "blocked": 1}),
        ("decoder", "masks:decoder.0=window1;blocked:decoder.9.9", {"later": 21, "far": 15}),
        ("decoder", "masks:decoder.0=full", {}),
    ],
)
def test_what_a_mask_forbids_is_said_by_what_forbids_it(
    lens: Translator, kind: str, edits: str, reasons: dict[str, int]
) -> None:
    trace = lens.trace("That that is, is.", target="Ce qui est, est.", edits=Edits.parse(edits))
    attention = trace.attentions[kind]
    said = "; ".join(say(f"masks.forbids_{name}", cells=cells) for name, cells in reasons.items())
    told = say("masks.forbids", total=attention.mask(0).size, reasons=said or say("masks.forbids_nothing"))
    assert readings.mask_reading(attention, 0, trace.edits) == told


def test_reading_and_table_name_the_strongest_key(trace: Trace) -> None:
    attention = trace.attentions["cross"]
    weights = attention.weights(2)[5, 3]
    best = attention.keys.name(int(weights.argmax()))
    table = tables.row_table(attention, 2, 5, 3)
    assert table[say("table.token")][0] == attention.key_tokens[int(weights.argmax())]
    assert table[say("table.weight")].sum() == pytest.approx(1, abs=1e-5)
    reading = readings.row_reading(trace, attention, 2, 5, 3)
    assert reading.index(f"**{escape_markdown(best)}** {weights.max():.0%}") > reading.index(
        escape_markdown(attention.query_tokens[3])
    )


def test_repeated_tokens_are_told_apart_in_words(trace: Trace) -> None:
    attention = trace.attentions["cross"]
    assert {attention.keys.name(i) for i, text in enumerate(attention.key_tokens) if text == "is"} == {
        "is (2)",
        "is (4)",
    }


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Decoder: without encoder-decoder attention in layer 1."),
        ("de", "Decoder: ohne Encoder-Decoder-Attention in Schicht 1."),
        ("fr", "Décodeur : sans attention encodeur-décodeur dans la couche 1."),
        ("es", "Decodificador: sin atención codificador-decodificador en la capa 1."),
    ],
)
def test_a_box_that_is_left_out_is_said_in_every_language(language: str, said: str) -> None:
    set_language(language)
    try:
        assert readings.edit_reading("blocks", ("decoder", 1, "cross_attention"), None) == said
    finally:
        set_language("en")
