"""Inside a head, the step that asks where one match comes from."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from model.measures.source_groups import summed
from model.trace.boxes.decomposition import Split
from model.trace.trace import Trace
from viz.figures import decomposition as figures
from viz.figures.worked_head import WorkedHead
from viz.frame import session
from viz.frame.shown_run import decompositions
from viz.language.messages import escape_markdown, say
from viz.widgets import charts, pickers
from viz.widgets.menus import save_menu

if TYPE_CHECKING:
    import pandas as pd


def draw(trace: Trace, worked: WorkedHead, selected: pickers.SelectedHead) -> None:
    """The score of the chosen query and key, split into what the two streams are made of."""
    kind, place = selected.attention.kind, (worked.row, worked.key)
    split = decompositions.why(trace, kind, selected.layer, selected.head, *place)
    names = (worked.query_name, worked.key_name)
    charts.announced_markdown(reading(split, names, capped=worked.steps.softcap is not None), ahead="match")
    figure = figures.match_heatmap(split, kind, place, names, session.palette())
    look = say("inside.match_look", error=f"{split.error:.0e}")
    charts.chart(st, figure, "match", look, table=partial(match_table, split), titled=False)
    save_menu.menu("match")


def reading(split: Split, names: tuple[str, str], *, capped: bool) -> str:
    """Sentence on the score and the pair that adds most to it.

    Args:
        names: of query and key; capped: whether the model caps the score afterwards.
    """
    groups = figures.match_groups(split)
    values = summed(split.parts, *groups)
    row, column = np.unravel_index(np.abs(values).argmax(), values.shape)
    asks, asked = (side[int(i)] for side, i in zip(groups, (row, column), strict=True))
    return say(
        "inside.said_6",
        query=escape_markdown(names[0]),
        key=escape_markdown(names[1]),
        score=f"{split.score:.3f}",
        when=say("inside.before_cap" if capped else "inside.before_mask"),
        part=f"{values[row, column]:+.3f}",
        asks=figures.source_name(asks.kind, asks.first, asks.last),
        asked=figures.source_name(asked.kind, asked.first, asked.last),
    )


def match_table(split: Split) -> pd.DataFrame:
    """Table of every pair of sources, layers apart: the query's source, the key's, and what they add to the score."""
    import pandas as pd

    sides = [[figures.source_name(one.kind, one.layer) for one in side]
             for side in (split.query_sources, split.key_sources)]  # fmt: skip
    rows, columns = np.indices(split.parts.shape).reshape(2, -1)
    return pd.DataFrame(
        {
            say("table.query"): np.array(sides[0], object)[rows],
            say("table.token"): np.array(sides[1], object)[columns],
            say("inside.match_unit"): split.parts.ravel(),
        }
    )
