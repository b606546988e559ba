"""The table of the whole model's boxes: a row each, with the numbers of the run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.trace.edits import Edits
from model.translator.translator import Translator
from tests.viz.figures.test_whole_model import picture
from viz.language.messages import say
from viz.saving.whole_table import whole_table


def test_each_box_has_a_row_in_the_order_of_computing(lens: Translator) -> None:
    trace = lens.trace("The cat saw the cat.")
    table = whole_table(picture(trace))
    names = {
        name: say(f"whole.column_{name}") for name in ("stack", "layer", "box", "adds", "length", "normalized", "error")
    }
    assert list(table) == list(names.values())
    blocks = table[table[names["layer"]] != ""]
    # Three layers of an encoder with two blocks each, and of a decoder with three: folded ones too.
    assert list(blocks[names["layer"]]) == [*"001122", *"000111222"]
    assert list(blocks[names["stack"]]) == ["Encoder"] * 6 + ["Decoder"] * 9
    assert len(table) == 15 + 2 * 2 + 1  # embedding and positions of each stack, and the output
    found = blocks.iloc[-1]
    assert "feed-forward, 1,024 neurons" in found[names["box"]]
    block = trace.blocks("decoder").layers[2].blocks[2]
    state = trace.blocks("decoder").states[2]
    for one in trace.blocks("decoder").layers[2].blocks[:2]:
        state = one.apply(state)
    share = np.median(np.linalg.norm(block.adds, axis=-1) / np.linalg.norm(state, axis=-1))
    assert found[names["adds"]] == pytest.approx(100 * share, abs=0.06)
    length = np.median(np.linalg.norm(block.apply(state), axis=-1))
    assert found[names["length"]] == pytest.approx(length, abs=0.006)
    assert found[names["normalized"]] == "after"
    assert 0 <= found[names["error"]] < 1e-4
    assert table.iloc[-1][names["box"]].startswith(say("whole.output"))
    edited = lens.trace("The cat saw the cat.", trace.output, Edits(blocks={("decoder", 2, "feed_forward")}))
    changed = whole_table(replace(picture(edited), before=trace.block_summaries()))
    rows = changed[changed[names["layer"]] != ""]
    assert list(rows[say("whole.column_adds_before")]) == list(blocks[names["adds"]])
    assert list(rows[say("whole.column_length_before")]) == list(blocks[names["length"]])
    assert rows.iloc[-1][names["adds"]] == 0 < rows.iloc[-1][say("whole.column_adds_before")]
