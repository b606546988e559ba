"""What a match and a token's score are made of: sums are kept, few bars are drawn, heads can be clicked."""

from __future__ import annotations

import numpy as np
import pytest

from model.measures.source_groups import grouped_sources, summed
from model.trace.boxes.decomposition import Credit, Source, Split
from viz.figures.decomposition import credit_bars, match_heatmap
from viz.figures.theme import LIGHT

LARGE = (
    Source("token"),
    *(Source(kind, layer) for layer in range(30) for kind in ("attention", "feed_forward")),
    Source("shift"),
    Source("projection_bias"),
)


def test_layers_are_grouped_until_few_are_left_and_no_part_is_lost() -> None:
    groups = grouped_sources(LARGE, 14)
    assert len(groups) <= 14
    assert sorted(place for group in groups for place in group.places) == list(range(len(LARGE)))
    assert [(one.first, one.last) for one in groups if one.kind == "attention"] == [
        (0, 5),
        (6, 11),
        (12, 17),
        (18, 23),
        (24, 29),
    ]
    parts = np.random.default_rng(0).normal(size=(len(LARGE), len(LARGE)))
    table = summed(parts, groups, groups)
    assert table.sum() == pytest.approx(parts.sum())
    assert table[1, 2] == pytest.approx(parts[1:13:2, 2:14:2].sum())
    assert len(grouped_sources(LARGE[:7], 14)) == 7  # a small model keeps its layers


def test_a_match_is_drawn_around_zero_with_its_two_tokens_marked() -> None:
    parts = np.random.default_rng(0).normal(size=(len(LARGE), len(LARGE)))
    figure = match_heatmap(Split(LARGE, LARGE, parts, float(parts.sum()), 0.0), "cross", (4, 2), ("the", "the"), LIGHT)
    cells = figure.data[0]
    assert cells.zmin == -cells.zmax
    assert np.asarray(cells.z).sum() == pytest.approx(parts.sum(), abs=1e-3)
    assert figure.layout.yaxis.type is None
    assert "attention 0–5" in figure.layout.yaxis.ticktext
    query, key = figure.layout.meta["focus"]
    assert (query["axis"], query["stack"], query["at"], query["places"]) == ("y", "decoder", [0], [4])
    assert (key["axis"], key["stack"], key["at"], key["places"]) == ("x", "encoder", [0], [2])


def test_bars_of_credit_add_up_and_only_heads_lead_on() -> None:
    sources = [Source("token"), Source("feed_forward", 1), *(Source("attention", 1, head) for head in range(30))]
    parts = np.random.default_rng(1).normal(size=len(sources))
    heads = {source: ("decoder", 1, source.head) for source in sources if source.head is not None}
    figure = credit_bars(Credit(tuple(sources), parts, float(parts.sum()), 0.0), heads, LIGHT, most=8)
    bars = figure.data[0]
    assert len(bars.x) == 9
    assert bars.x.sum() == pytest.approx(parts.sum(), abs=1e-5)
    assert abs(bars.x[0]) == pytest.approx(np.abs(parts).max())
    assert all(len(place) in (0, 3) for place in bars.customdata)
    assert len(bars.customdata[-1]) == 0
    assert bars.text[-1] == "the other 24 parts"
    assert {colour for value, colour in zip(bars.x, bars.marker.color, strict=True) if value < 0} == {LIGHT.second}
