"""The sections of the Positions page, one for each position scheme."""

from __future__ import annotations

import numpy as np
import streamlit as st

from model.positions.rotary import rotate
from model.positions.scheme import PositionScheme, Rotation
from model.positions.sinusoidal import columns, find_layout, sinusoidal
from model.trace.trace import Trace
from viz.figures import positions as figures
from viz.figures import waves
from viz.figures.full_grid import colour_limit, cut_reading
from viz.figures.linking import FocusTokens, query_stack
from viz.figures.theme import Palette
from viz.frame import links, model_access
from viz.frame.option_row import option_row
from viz.language.messages import say, whole_number
from viz.widgets import charts, pickers

MAX_POSITIONS, MAX_DIMENSIONS = 64, 1024  # of a learned table that are drawn


def pick_scheme(trace: Trace) -> tuple[str, PositionScheme]:
    """The stack whose positions are shown and its scheme; chosen by buttons where the two stacks of a model differ."""
    positions = model_access.open_model().positions
    stack = query_stack(st.session_state.get("kind") or pickers.default_kind(trace))
    if {"encoder", "decoder"} <= trace.tokens.keys() and not positions("encoder").equals(positions("decoder")):
        names = {one: say(f"kinds.{one}") for one in ("encoder", "decoder")}
        stack = option_row(say("positions.stack"), list(names), "encoder", "pe_stack", name=names.__getitem__)
    return stack, positions(stack)


def formula(scheme: PositionScheme) -> str | None:
    """Markdown of the formula behind a scheme; None where there is none to tell."""
    if scheme.kind != "sinusoidal":
        return None
    layout, _ = _layout(scheme)
    places = (r"2i", r"2i+1") if layout == "interleaved" else (r"i", r"d/2+i")
    power = r"i/(d/2-1)" if layout == "fairseq" else r"2i/d"
    parts = (
        rf"PE_{{(pos,\,{place})}} = \{function}\!\left(\frac{{pos}}{{base^{{\,{power}}}}}\right)"
        for place, function in zip(places, ("sin", "cos"), strict=True)
    )
    return "\n\n".join([say("positions.formula"), *(f"$${part}$$" for part in parts)])


def _layout(scheme: PositionScheme) -> tuple[str, int]:
    """The layout of a sinusoidal table, and its first position."""
    assert scheme.table is not None
    found = find_layout(scheme.table[:MAX_POSITIONS])
    assert found is not None
    return found


def focus_tokens(trace: Trace, stack: str, length: int) -> FocusTokens | None:
    """The tokens of the line under the sentence that stand at the first `length` positions; None for a picture."""
    if trace.picture is not None or stack not in trace.tokens:
        return None
    return stack, range(min(len(trace.tokens[stack]), length))


def sinusoids(trace: Trace, stack: str, scheme: PositionScheme, palette: Palette) -> None:
    """Draw sinusoidal encodings as table, waves, similarities and rotation; sliders start at the model's own values."""
    assert scheme.table is not None
    own_width = scheme.table.shape[1]
    a, b, c, d = st.columns([2, 2, 2, 4])
    d_model = a.slider(say("positions.d_model"), 4, max(512, own_width), own_width, 2, key="pe_d", bind="query-params")
    d_model = d_model // 2 * 2  # a link may hold an odd number
    bases = [10, 100, 1_000, 10_000, 100_000, 1_000_000]
    links.restore("pe_base", bases)
    base = b.select_slider(say("positions.base"), bases, 10_000, whole_number, key="pe_base")
    links.store("pe_base", base, 10_000)
    length = c.slider(say("positions.length"), 8, 256, 64, 8, key="pe_length", bind="query-params")
    with d:
        dimensions = _pick_dimensions(d_model)
    layout, first = _layout(scheme)
    tokens, turning = focus_tokens(trace, stack, length), columns(d_model, base, layout)
    assert turning.pairs is not None
    encoding = sinusoidal(length, d_model, base, layout, first)
    look = say("positions.table_look" if layout == "interleaved" else "positions.halves_look")
    is_own = (d_model, base) == (own_width, 10_000)
    said = f"{look} {say('positions.own')}" if is_own else say("positions.not_own", d_model=own_width)
    left, right = st.columns([3, 2], gap="small")
    with left:
        figure = figures.encoding_heatmap(encoding, palette, tokens)
        charts.chart_with_menu(figure, "pe_table", f"{said} {_first_row(scheme)}")
    with right:
        curves = waves.sinusoid_waves(dimensions, turning, first)
        drawn = waves.wave_curves(curves, length, palette, say("positions.waves_title"), say("positions.value"), tokens)
        charts.chart_with_menu(drawn, "waves", say("positions.waves_look"))
    left, right = st.columns([6, 7], gap="small")
    with left:
        charts.chart_with_menu(
            figures.similarity_by_distance(encoding, palette), "pe_similarity", say("positions.similarity_look")
        )
    with right:
        st.header(say("positions.rotation"), anchor=False, help=say("positions.rotation_why"))
        encoding = sinusoidal(2 * length, d_model, base, layout, first)  # every offset from every start stays inside
        start, offset = rotation_of_pair(encoding, turning, palette, "positions.circle_title", tokens)
        turned = rotate(encoding[start], offset, turning.frequencies, turning.pairs[:, ::-1])
        error = abs(turned - encoding[start + offset]).max()
        charts.noted_caption(say("positions.rotated", offset=offset, start=start, error=f"{error:.1e}"), "circle")


def _first_row(scheme: PositionScheme) -> str:
    """A sentence on the row of the table that the first token gets, where it is not row 0."""
    return say("positions.first_row", row=scheme.first_row) if scheme.first_row else ""


def _pick_dimensions(d_model: int) -> list[int]:
    """The dimensions whose waves are drawn."""
    shares = [min(int(d_model * share) // 2 * 2 + odd, d_model - 1) for share in (0.15, 0.4) for odd in (0, 1)]
    suggested = sorted({0, 1, *shares})
    if any(dimension >= d_model for dimension in st.session_state.get("pe_dims", [])):
        st.session_state.pe_dims = suggested
    return st.multiselect(
        say("positions.pick"), range(d_model), suggested, key="pe_dims", max_selections=8, bind="query-params"
    )


def rotation_of_pair(
    encoding: np.ndarray, turning: Rotation, palette: Palette, title: str, tokens: FocusTokens | None
) -> tuple[int, int]:
    """Draw one pair of dimensions as a point on a circle that rotates with the position; sliders choose the rotation.

    Args:
        encoding: sine and cosine of each pair. [position, 2 · pair]
        turning: the frequency of each pair, and its columns of `encoding`.
        title: id of the figure's title among the texts.
        tokens: those at the first positions.

    Returns:
        The position where the rotation starts, and the offset by which it moves, in positions.
    """
    assert turning.pairs is not None
    length, speeds = len(encoding) // 2, turning.frequencies
    a, b, c = st.columns(3)
    if st.session_state.get("pe_pair", 0) >= len(speeds):
        del st.session_state["pe_pair"]
    pairs = max(len(speeds) - 1, 1)
    pair = min(
        a.slider(say("positions.pair"), 0, pairs, min(8, pairs), key="pe_pair", bind="query-params"), len(speeds) - 1
    )
    if st.session_state.get("pe_start", 0) > length - 2:
        del st.session_state["pe_start"]
    start = b.slider(say("positions.start"), 0, length - 2, min(3, length - 2), key="pe_start", bind="query-params")
    offset = c.slider(say("positions.offset"), 1, length - 1, 1, key="pe_offset", bind="query-params")
    angle = offset * float(speeds[pair])
    sine, cosine = (int(column) for column in turning.pairs[pair])
    named = say(title, pair=pair, sine=sine, cosine=cosine)
    circle = figures.rotation_circle(encoding[:, [sine, cosine]], start, offset, palette, named, tokens)
    turned = say("positions.turned", pair=pair, offset=offset, radians=f"{angle:.4f}")
    charts.chart_with_menu(circle, "circle", say("positions.circle_look"))
    charts.noted_caption(turned, "circle")
    return start, offset


def learned(trace: Trace, stack: str, scheme: PositionScheme, palette: Palette) -> None:
    """Draw a learned position table and the similarities of its rows."""
    assert scheme.table is not None
    table = scheme.table[:MAX_POSITIONS, :MAX_DIMENSIONS]
    tokens = focus_tokens(trace, stack, len(table))
    shown = say(
        "positions.learned_shown",
        shown=len(table),
        total=len(scheme.table),
        columns=table.shape[1],
        d_model=scheme.table.shape[1],
    )
    left, right = st.columns([8, 5], gap="small")
    with left:
        cut = cut_reading(table, colour_limit(table))
        look = f"{say('positions.learned_table_look')} {cut} {shown} {_first_row(scheme)}"
        charts.chart_with_menu(figures.encoding_heatmap(table, palette, tokens), "pe_table", look)
    with right:
        similar = figures.similarity_heatmap(table, palette, tokens)
        charts.chart_with_menu(similar, "pe_similarity_map", say("positions.learned_similarity_look"))


def bias(trace: Trace, stack: str, scheme: PositionScheme, palette: Palette) -> None:
    """Draw the bias that each head adds to its scores, by distance of query and key."""
    assert scheme.bias is not None
    assert scheme.distances is not None
    table = scheme.bias
    if scheme.layer_biases is not None:
        table = scheme.layer_biases[
            option_row(say("pick.layer"), range(len(scheme.layer_biases)), 0, "pe_layer", name=str)
        ]
    figure = figures.bias_by_distance(table, scheme.distances, palette)
    charts.chart_with_menu(figure, "pe_bias", say("positions.bias_look"))


def nothing(trace: Trace, stack: str, scheme: PositionScheme, palette: Palette) -> None:
    """Draw nothing: the sentence above says why."""


SECTIONS = {"sinusoidal": sinusoids, "learned": learned, "bias": bias}
