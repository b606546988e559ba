"""The sections of the Compare page: the other side, three maps, many heads, and where two runs part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from model.catalog.entries import CATALOG
from model.measures import alignment, similarity, weight_scales
from model.trace.attention import Attention
from model.trace.edits import named
from model.trace.trace import Trace
from viz.figures import compare as figures
from viz.figures.theme import Palette
from viz.frame import links, results, session
from viz.frame.option_row import choice
from viz.language.messages import plain, say
from viz.widgets import charts, save_menu

# What the two sides may differ in; each way of comparing shows the widgets of its own differences.
PRESETS: dict[str, tuple[str, ...]] = {
    "heads": ("head",),
    "sentences": ("text",),
    "pair": ("text",),
    "models": ("model", "head"),
    "edit": ("edits",),
    "anything": ("model", "text", "head", "edits"),
}
PAIR = (
    "The animal didn't cross the street because it was too tired.",
    "The animal didn't cross the street because it was too wide.",
)
MOST = 12  # heads on the wall


@dataclass(frozen=True)
class Side:
    """One of the two things that are compared."""

    trace: Trace
    attention: Attention
    layer: int
    head: int
    name: str  # of the model

    def weights(self) -> np.ndarray:
        """[query, key]"""
        sides = range(len(self.attention.queries)), range(len(self.attention.keys))
        return np.nan_to_num(self.attention.drawn(self.layer, self.head, *sides), nan=0.0)

    def lengths(self, weights: np.ndarray) -> np.ndarray | None:
        """Weights times the lengths of what they add; None where the model does not show that. [query, key]

        What a scaled head adds is scaled with it.
        """
        if not self.attention.has_vectors:
            return None
        w_o = results.multi_head(self.trace, self.attention.kind, self.layer).w_o
        if w_o is None:
            return None
        dim = self.attention.head_dim
        rows = w_o[self.head * dim : (self.head + 1) * dim]
        factor = named(self.trace.edits.heads, self.attention.kind, self.layer, self.head)
        rows = rows * abs(1.0 if factor is None else factor)
        return weight_scales.value_norms(weights, self.attention.value(self.layer)[self.head], rows)


def other_side(a: Side) -> Side:
    """Ask what stands on the other side: what a preset does not name is as on this side."""
    # Pictures are chosen in the sidebar alone, so ways to compare two texts are not for them.
    fitting = [name for name, asked in PRESETS.items() if a.trace.picture is None or "text" not in asked]
    preset = choice(say("compare.preset"), fitting, "heads", "compare")
    st.caption(say(f"compare.{preset}_why"))
    asked = PRESETS[preset]
    if preset == "pair":
        st.button(say("compare.take_pair"), on_click=_take_pair, icon=":material/content_paste:")
    with st.container(border=True):
        st.markdown(say("compare.b"))
        name = session.chosen()
        if "model" in asked:
            name = (
                st.selectbox(
                    say("compare.b_model"), list(CATALOG), key="b_model", accept_new_options=True, bind="query-params"
                )
                or name
            )
        text: str | bytes = session.given()
        if "text" in asked:
            if "b_text" not in st.query_params:  # a page that connects again brings it along
                st.session_state.setdefault("b_text", a.trace.text)
            text = st.text_input(say("compare.b_text"), key="b_text", bind="query-params")
        edits = a.trace.edits
        if "edits" in asked:
            kept = st.toggle(
                say("compare.b_edits"), key="b_edits", bind="query-params", help=say("compare.b_edits_help")
            )
            written = (
                ""
                if kept
                else st.text_input(
                    say("compare.b_changes"), key="b_changes", bind="query-params", help=say("compare.b_changes_help")
                )
            )
        model = session.lens(name)
        if "edits" in asked and not kept:
            edits = session.read_edits(written, model, warn=True)
        target = session.target() if model.is_pair and text == session.given() else None
        trace = session.batch((text,), (target,), "other", edits.fitting(model.heads), name)[0]
        kind, layer, head = a.attention.kind, a.layer, a.head
        if "head" in asked:
            kind, layer, head = _pick_head(trace, a)
        attention = trace.attentions.get(kind) or list(trace.attentions.values())[-1]
    layer, head = min(layer, attention.num_layers - 1), min(head, attention.num_heads - 1)
    return Side(trace, attention, layer, head, name)


def _pick_head(trace: Trace, a: Side) -> tuple[str, int, int]:
    kinds = list(trace.attentions)
    columns = st.columns(3)
    with columns[0]:
        own = a.attention.kind if a.attention.kind in kinds else kinds[0]
        kind = choice(say("pick.kind"), kinds, own, "b_kind")
    attention = trace.attentions[kind]
    numbers = []
    for column, field, count, start in (
        (columns[1], "layer", attention.num_layers, a.layer),
        (columns[2], "head", attention.num_heads, a.head + 1 if a.head + 1 < attention.num_heads else 0),
    ):
        key = f"b_{field}"
        if st.session_state.get(key, 0) not in range(count):
            del st.session_state[key]
        numbers.append(
            column.selectbox(say(f"pick.{field}"), range(count), min(start, count - 1), key=key, bind="query-params")
        )
    return kind, numbers[0], numbers[1]


def _take_pair() -> None:
    st.session_state.text, st.session_state.b_text = PAIR


def three_maps(a: Side, b: Side, palette: Palette) -> None:
    """A, B and B − A on a common alignment, and where they differ most."""
    rows = alignment.align(a.attention.queries, b.attention.queries)
    columns = alignment.align(a.attention.keys, b.attention.keys)
    left, right = st.columns([3, 2])
    with left:
        scale = choice(say("compare.scale"), weight_scales.SCALES, "weight", "scale", help=say("compare.scale_help"))
    hide = right.toggle(say("compare.sink"), key="sink", help=say("compare.sink_help"), bind="query-params")
    st.caption(say(f"compare.scale_{scale}"))
    maps = []
    for side, (queries, keys) in (
        (a, ([i for i, _ in rows], [i for i, _ in columns])),
        (b, ([j for _, j in rows], [j for _, j in columns])),
    ):
        weights = side.weights()
        if hide:
            weights, removed = weight_scales.without_sink(weights, side.attention.keys)
            st.caption(say("compare.removed", side="A" if side is a else "B", share=f"{removed:.0%}"))
        allowed = side.attention.mask(side.layer)
        values = side.lengths(weights) if scale == "norm" else weight_scales.scaled(weights, allowed, scale)
        if values is not None:
            maps.append(alignment.spread(np.where(allowed, values, np.nan), queries, keys))
    down, across = (
        figures.axes(rows, a.attention.queries, b.attention.queries),
        figures.axes(columns, a.attention.keys, b.attention.keys),
    )
    if len(maps) == 2:
        _side_by_side((a, b), maps, (down, across), scale, palette)
    else:
        st.info(say("compare.no_norms"), icon=":material/info:")
    bits = similarity.row_divergence(a.weights(), b.weights(), rows, columns)
    st.markdown(_in_words(bits, down))
    charts.draw(figures.row_divergence(bits, down, palette), "row_divergence", say("compare.rows_look"))


def _side_by_side(
    sides: tuple[Side, Side],
    maps: list[np.ndarray],
    axes: tuple[figures.Axes, figures.Axes],
    scale: str,
    palette: Palette,
) -> None:
    """A, B and B − A. maps: of A and B, [aligned query, aligned key]"""
    down, across = axes
    low = float(np.log10(weight_scales.FLOOR)) if scale == "log" else 0.0
    high = {"weight": 1.0, "log": 0.0}.get(scale, max(float(np.nanmax(one, initial=0.0)) for one in maps))
    unit, kind = say(f"compare.unit_{scale}"), sides[0].attention.kind
    tickformat = ".0%" if scale == "weight" else None
    titles = [
        say("compare.side", side=name, kind=say(f"kinds.{one.attention.kind}"), layer=one.layer, head=one.head)
        for name, one in zip("AB", sides, strict=True)
    ]
    places = st.columns(3)
    for place, values, title, key in zip(places, maps, titles, ("map_a", "map_b"), strict=False):
        with place:
            drawn = figures.side_map(
                values,
                down,
                across,
                kind,
                title,
                palette,
                unit=unit,
                limits=(low, high),
                side=key[-1],
                tickformat=tickformat,
            )
            charts.draw(drawn, key, say("compare.map_look"))
    with places[2]:
        drawn = figures.side_map(
            maps[1] - maps[0], down, across, kind, say("compare.difference"), palette,
            unit=unit, side="difference", tickformat=tickformat,
        )  # fmt: skip
        charts.draw(drawn, "map_difference", say("compare.difference_look"))


def _in_words(bits: np.ndarray, rows: figures.Axes) -> str:
    partners = int(np.isfinite(bits).sum())
    alone = len(bits) - partners
    if not partners:
        return say("compare.no_partner")
    if not np.nanmax(bits):
        sentence = say("compare.equal")
    else:
        most = int(np.nanargmax(bits))
        sentence = say(
            "compare.in_words", token=plain(rows.names[most]), bits=f"{bits[most]:.2f}", mean=f"{np.nanmean(bits):.2f}"
        )
    return f"{sentence} {say('compare.alone', count=alone)}" if alone else sentence


def many_heads(a: Side, palette: Palette) -> None:
    """A wall of heads, all heads by similarity to the chosen one, and a map of them all."""
    attention, chosen = a.attention, (a.layer, a.head)
    step = similarity.stride(attention)
    if step > 1:
        st.caption(say("compare.every", step=step))
    alike = similarity.head_similarity(attention, *chosen, step)
    order = [divmod(int(i), attention.num_heads) for i in np.argsort(-alike, axis=None, kind="stable")]
    left, right = st.columns([2, 3])
    with left:
        drawn = figures.similarity(alike, chosen, palette)
        charts.draw(drawn, "similarity", say("compare.similar_look"), on_select=_opener("similarity"))
    with right:
        points, kept = similarity.head_map(attention, step)
        drawn = figures.head_map(points, kept, chosen, palette)
        charts.draw(drawn, "head_map", say("compare.head_map_look"), on_select=_opener("head_map"))
    key = f"wall_{attention.kind}_{a.layer}_{a.head}"
    tiles = {f"{layer}.{head}": (layer, head) for layer, head in order}
    links.take(key, list(tiles), many=True)
    names = st.multiselect(
        say("compare.wall_pick"),
        list(tiles),
        list(tiles)[:8],
        format_func=lambda one: say("compare.tile", layer=tiles[one][0], head=tiles[one][1]),
        max_selections=MOST,
        key=key,
        persist_state="session",
    )
    links.keep(key, names, list(tiles)[:8])
    heads = [tiles[name] for name in names]
    if heads:
        drawn = figures.wall(attention, heads, palette)
        table = save_menu.cells(attention)
        charts.draw(drawn, "wall", say("compare.wall_look"), on_select=_opener("wall"), table=table)


def _opener(key: str) -> Callable[[], None]:
    def take() -> None:
        points = st.session_state[key].selection.points
        if points:
            st.session_state.layer, st.session_state.head = (int(i) for i in points[0]["customdata"][:2])

    return take
