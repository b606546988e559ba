"""The sections of the Compare page about maps: A, B and B − A, and all heads of side A."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from model.measures import alignment, similarity, weight_scales
from viz.figures import compare_heads, compare_runs
from viz.figures.theme import Palette
from viz.frame import links
from viz.frame.option_row import option_row
from viz.language.messages import escape_markdown, say
from viz.sections.compare_sides import Side
from viz.widgets import charts, save_menu

MAX_WALL_HEADS = 12  # heads drawn beside each other


def map_difference(a: Side, b: Side, palette: Palette) -> None:
    """Draw A, B and B − A with tokens aligned, and the Jensen-Shannon divergence of each row."""
    rows = alignment.align_tokens(a.attention.queries, b.attention.queries)
    columns = alignment.align_tokens(a.attention.keys, b.attention.keys)
    left, right = st.columns([3, 2])
    with left:
        scale = option_row(
            say("compare.scale"), weight_scales.SCALES, "weight", "scale", help=say("compare.scale_help")
        )
    hide = right.toggle(say("compare.sink"), key="sink", help=say("compare.sink_help"), bind="query-params")
    st.caption(say(f"compare.scale_{scale}"))
    maps = []
    for side, (queries, keys) in (
        (a, ([i for i, _ in rows], [i for i, _ in columns])),
        (b, ([j for _, j in rows], [j for _, j in columns])),
    ):
        weights = side.weights()
        if hide:
            weights, removed = weight_scales.drop_sink_tokens(weights, side.attention.keys)
            st.caption(say("compare.removed", side="A" if side is a else "B", share=f"{removed:.0%}"))
        allowed = side.attention.mask(side.layer)
        values = side.value_norms(weights) if scale == "norm" else weight_scales.apply_scale(weights, allowed, scale)
        if values is not None:
            maps.append(alignment.expand_to_alignment(np.where(allowed, values, np.nan), queries, keys))
    down, across = (
        compare_runs.aligned_labels(rows, a.attention.queries, b.attention.queries),
        compare_runs.aligned_labels(columns, a.attention.keys, b.attention.keys),
    )
    if len(maps) == 2:
        _side_by_side((a, b), maps, (down, across), scale, palette)
    else:
        st.info(say("compare.no_norms"), icon=":material/info:")
    bits = similarity.row_divergence(a.weights(), b.weights(), rows, columns)
    st.markdown(_divergence_sentence(bits, down))
    charts.chart_with_menu(
        compare_runs.row_divergence_bars(bits, down, palette), "row_divergence", say("compare.rows_look")
    )


def _side_by_side(
    sides: tuple[Side, Side],
    maps: list[np.ndarray],
    axes: tuple[compare_runs.AlignedLabels, compare_runs.AlignedLabels],
    scale: str,
    palette: Palette,
) -> None:
    """Draw A, B and B − A. maps: of A and B, [aligned query, aligned key]"""
    down, across = axes
    low = float(np.log10(weight_scales.LOG_FLOOR)) if scale == "log" else 0.0
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
            figure = compare_runs.comparison_heatmap(
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
            charts.chart_with_menu(figure, key, say("compare.map_look"))
    with places[2]:
        figure = compare_runs.comparison_heatmap(
            maps[1] - maps[0], down, across, kind, say("compare.difference"), palette,
            unit=unit, side="difference", tickformat=tickformat,
        )  # fmt: skip
        charts.chart_with_menu(figure, "map_difference", say("compare.difference_look"))


def _divergence_sentence(bits: np.ndarray, rows: compare_runs.AlignedLabels) -> str:
    """One sentence on the largest and mean divergence of the rows, and on rows without a partner."""
    partners = int(np.isfinite(bits).sum())
    unmatched = len(bits) - partners
    if not partners:
        return say("compare.no_partner")
    if not np.nanmax(bits):
        sentence = say("compare.equal")
    else:
        most = int(np.nanargmax(bits))
        sentence = say(
            "compare.in_words",
            token=escape_markdown(rows.names[most]),
            bits=f"{bits[most]:.2f}",
            mean=f"{np.nanmean(bits):.2f}",
        )
    return f"{sentence} {say('compare.alone', count=unmatched)}" if unmatched else sentence


def all_heads(a: Side, palette: Palette) -> None:
    """Draw every head's similarity to the chosen one, all heads as points in a plane, and maps of selected heads."""
    attention, chosen = a.attention, (a.layer, a.head)
    step = similarity.query_stride(attention)
    if step > 1:
        st.caption(say("compare.every", step=step))
    similarities = similarity.head_similarity(attention, *chosen, step)
    order = [divmod(int(i), attention.num_heads) for i in np.argsort(-similarities, axis=None, kind="stable")]
    left, right = st.columns([2, 3])
    with left:
        figure = compare_heads.head_similarity_heatmap(similarities, chosen, palette)
        charts.chart_with_menu(figure, "similarity", say("compare.similar_look"), on_select=_opener("similarity"))
    with right:
        points, explained_variance = similarity.head_coordinates(attention, step)
        figure = compare_heads.head_scatter(points, explained_variance, chosen, palette)
        charts.chart_with_menu(figure, "head_map", say("compare.head_map_look"), on_select=_opener("head_map"))
    key = f"wall_{attention.kind}_{a.layer}_{a.head}"
    tiles = {f"{layer}.{head}": (layer, head) for layer, head in order}
    links.restore(key, list(tiles), many=True)
    names = st.multiselect(
        say("compare.wall_pick"),
        list(tiles),
        list(tiles)[:8],
        format_func=lambda one: say("compare.tile", layer=tiles[one][0], head=tiles[one][1]),
        max_selections=MAX_WALL_HEADS,
        key=key,
        persist_state="session",
    )
    links.store(key, names, list(tiles)[:8])
    heads = [tiles[name] for name in names]
    if heads:
        figure = compare_heads.selected_heads_mosaic(attention, heads, palette)
        table = save_menu.weights_table(attention)
        charts.chart_with_menu(figure, "wall", say("compare.wall_look"), on_select=_opener("wall"), table=table)


def _opener(key: str) -> Callable[[], None]:
    """A callback that selects the head clicked in the figure with this key."""

    def select() -> None:
        points = st.session_state[key].selection.points
        if points:
            st.session_state.layer, st.session_state.head = (int(i) for i in points[0]["customdata"][:2])

    return select
