"""The sections of the Positions page, one for each position scheme."""

from __future__ import annotations

import numpy as np
import streamlit as st

from model.positions.scheme import PositionScheme
from model.positions.sinusoidal import frequencies, rotation, sinusoidal
from model.trace.trace import Trace
from viz.figures import positions as figures
from viz.figures import waves
from viz.figures.full_grid import colour_limit, cut_reading
from viz.figures.linking import FocusTokens, query_stack
from viz.figures.theme import Palette
from viz.frame import links
from viz.language.messages import escape_markdown, say
from viz.widgets import charts, pickers, save_menu

MAX_POSITIONS, MAX_DIMENSIONS = 64, 1024  # of a learned table that are drawn
MIN_DISTANCE = 64  # positions that the match of a query and a key is drawn for, at least
FLAT = 0.1  # of the largest match: a smaller change with the distance is called none


def formula(scheme: PositionScheme) -> str | None:
    """Markdown of the formula behind a scheme; None where there is none to tell."""
    if scheme.kind != "sinusoidal":
        return None
    parts = (
        rf"PE_{{(pos,\,{part}\!\left(\frac{{pos}}{{base^{{\,2i/d}}}}\right)"
        for part in (r"2i)} = \sin", r"2i+1)} = \cos")
    )
    return "\n\n".join([say("positions.formula"), *(f"$${part}$$" for part in parts)])


def _tokens(trace: Trace, length: int) -> FocusTokens | None:
    """The tokens of the line under the sentence that stand at the first `length` positions; None for a picture."""
    stack = query_stack(st.session_state.get("kind") or pickers.default_kind(trace))
    if trace.picture is not None or stack not in trace.tokens:
        return None
    return stack, range(min(len(trace.tokens[stack]), length))


def sinusoids(trace: Trace, scheme: PositionScheme, palette: Palette) -> None:
    """Draw sinusoidal encodings as table, waves, similarities and rotation; sliders start at the model's own values."""
    assert scheme.table is not None
    own_width = scheme.table.shape[1]
    a, b, c, d = st.columns([2, 2, 2, 4])
    d_model = a.slider(say("positions.d_model"), 4, max(512, own_width), own_width, 2, key="pe_d", bind="query-params")
    d_model = d_model // 2 * 2  # a link may hold an odd number
    bases = [10, 100, 1_000, 10_000, 100_000, 1_000_000]
    links.restore("pe_base", bases)
    base = b.select_slider(say("positions.base"), bases, 10_000, "{:,}".format, key="pe_base")
    links.store("pe_base", base, 10_000)
    length = c.slider(say("positions.length"), 8, 256, 64, 8, key="pe_length", bind="query-params")
    with d:
        dimensions = _pick_dimensions(d_model)
    tokens, speeds = _tokens(trace, length), frequencies(d_model, base)
    encoding = sinusoidal(length, d_model, base)
    own = say("positions.own" if (d_model, base) == (own_width, 10_000) else "positions.not_own", d_model=own_width)
    left, right = st.columns([3, 2], gap="small")
    with left:
        charts.chart_with_menu(
            figures.encoding_heatmap(encoding, palette, tokens), "pe_table", f"{say('positions.table_look')} {own}"
        )
    with right:
        curves = waves.sinusoid_waves(dimensions, speeds)
        drawn = waves.wave_curves(curves, length, palette, say("positions.waves_title"), say("positions.value"), tokens)
        charts.chart_with_menu(drawn, "waves", say("positions.waves_look"))
    left, right = st.columns([6, 7], gap="small")
    with left:
        charts.chart_with_menu(
            figures.similarity_by_distance(encoding, palette), "pe_similarity", say("positions.similarity_look")
        )
    with right:
        st.header(say("positions.rotation"), anchor=False, help=say("positions.rotation_why"))
        encoding = sinusoidal(2 * length, d_model, base)  # every offset from every start stays inside
        start, offset = rotation_of_pair(encoding, speeds, palette, "positions.circle_title", tokens)
        error = abs(rotation(offset, d_model, base) @ encoding[start] - encoding[start + offset]).max()
        st.caption(say("positions.rotated", offset=offset, start=start, error=f"{error:.1e}"))


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
    encoding: np.ndarray, speeds: np.ndarray, palette: Palette, title: str, tokens: FocusTokens | None
) -> tuple[int, int]:
    """Draw one pair of dimensions as a point on a circle that rotates with the position; sliders choose the rotation.

    Args:
        encoding: sine and cosine of each pair, interleaved. [position, 2 · pair]
        speeds: angular frequency of each pair, in radians per position. [pair]
        title: id of the figure's title among the texts.
        tokens: those at the first positions.

    Returns:
        The position where the rotation starts, and the offset by which it moves, in positions.
    """
    length = len(encoding) // 2
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
    named = say(title, pair=pair, sine=2 * pair, cosine=2 * pair + 1)
    circle = figures.rotation_circle(encoding, pair, start, offset, palette, named, tokens)
    turned = say("positions.turned", pair=pair, offset=offset, radians=f"{angle:.4f}")
    charts.chart_with_menu(circle, "circle", say("positions.circle_look"))
    st.caption(turned)
    return start, offset


def learned(trace: Trace, scheme: PositionScheme, palette: Palette) -> None:
    """Draw a learned position table and the similarities of its rows."""
    assert scheme.table is not None
    table = scheme.table[:MAX_POSITIONS, :MAX_DIMENSIONS]
    tokens = _tokens(trace, len(table))
    shown = say(
        "positions.learned_shown",
        shown=len(table),
        total=len(scheme.table),
        columns=table.shape[1],
        d_model=scheme.table.shape[1],
    )
    left, right = st.columns([8, 5], gap="small")
    with left:
        look = f"{say('positions.learned_table_look')} {cut_reading(table, colour_limit(table))} {shown}"
        charts.chart_with_menu(figures.encoding_heatmap(table, palette, tokens), "pe_table", look)
    with right:
        similar = figures.similarity_heatmap(table, palette, tokens)
        charts.chart_with_menu(similar, "pe_similarity_map", say("positions.learned_similarity_look"))


def rotary(trace: Trace, scheme: PositionScheme, palette: Palette) -> None:
    """Draw waves of some rotary pairs, the match of one query and key by distance, wavelengths, and a rotation."""
    assert scheme.frequencies is not None
    speeds = scheme.frequencies
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        suggested = sorted({0, len(speeds) // 8, len(speeds) // 4})
        if any(pair >= len(speeds) for pair in st.session_state.get("pe_pairs", [])):
            st.session_state.pe_pairs = suggested
        pairs = st.multiselect(
            say("positions.pairs_pick"),
            range(len(speeds)),
            suggested,
            key="pe_pairs",
            max_selections=8,
            bind="query-params",
            width=330,
        )
        chosen = pickers.head_stepper(trace, arrows=False)
        row = pickers.chosen_row(chosen.attention)
        key = _pick_key(chosen, row)
    names = [say("positions.pair_wave", pair=pair, length=f"{2 * np.pi / speeds[pair]:,.0f}") for pair in pairs]
    curves = [waves.Wave(name, float(speeds[pair]), True) for name, pair in zip(names, pairs, strict=True)]
    tokens = _tokens(trace, MIN_DISTANCE)
    left, right = st.columns(2, gap="small")
    with left:
        title, unit = say("positions.rotary_waves_title"), say("positions.cosine_of_angle")
        drawn = waves.wave_curves(curves, MIN_DISTANCE, palette, title, unit, tokens)
        charts.chart_with_menu(drawn, "waves", say("positions.rotary_waves_look"))
    with right:
        _match(chosen, row, key, scheme, pairs, palette)
    left, right = st.columns([6, 7], gap="small")
    with left:
        charts.chart_with_menu(
            figures.wavelength_bars(speeds, palette), "wavelengths", say("positions.wavelengths_look")
        )
    with right:
        angle = np.arange(128)[:, None] * speeds
        encoding = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(128, -1)
        rotation_of_pair(encoding, speeds, palette, "positions.rotary_title", tokens)


def _pick_key(chosen: pickers.SelectedHead, row: int) -> int:
    """The key that a query is matched with: the one it looks at most, or one chosen from a list.

    Heads rest on the first token and on special ones at any distance: these are left out at first, where others are.
    """
    attention = chosen.attention
    weights = attention.row(chosen.layer, row)[chosen.head]
    others = np.where([place == 0 or special for place, special in enumerate(attention.keys.special)], 0, weights)
    strongest = int((others if others.any() else weights).argmax())
    keys = range(len(attention.keys))
    if st.session_state.get("pe_key") not in (None, *keys):
        st.session_state.pe_key = None
    links.restore("pe_key", keys)
    named = attention.keys.name
    key = st.selectbox(
        say("positions.match_key"),
        keys,
        index=None,
        format_func=named,
        placeholder=say("positions.match_strongest", key=named(strongest)),
        key="pe_key",
        help=say("positions.match_key_help"),
        width=240,
    )
    links.store("pe_key", key, None)
    return strongest if key is None else int(key)


def _match(
    chosen: pickers.SelectedHead, row: int, key: int, scheme: PositionScheme, pairs: list[int], palette: Palette
) -> None:
    """Draw how the dot product of one query and one key of a head changes with the distance between them."""
    attention, layer, head = chosen.attention, chosen.layer, chosen.head
    if attention.kind == "cross" or scheme.pairs is None or not attention.has_vectors:
        st.info(say("positions.match_cross" if attention.kind == "cross" else "positions.match_unknown"))
        return
    reach = max(MIN_DISTANCE, len(attention.keys))
    distances = (0 if attention.kind == "decoder" and row >= key else -reach, reach, row - key)
    query, asked = attention.query(layer)[head, row], attention.key(layer)[head, key]
    figure = waves.match_curve(query, asked, scheme, distances, pairs, palette)
    names = {
        "query": escape_markdown(attention.queries.name(row)),
        "key": escape_markdown(attention.keys.name(key)),
    }
    total = waves.match_at_whole_distances(query, asked, scheme, distances)
    reading = say(
        "positions.match_reading",
        **names,
        distance=row - key,
        match=f"{query @ asked:.2f}",
        best=distances[0] + int(total.argmax()),
        most=f"{total.max():.2f}",
    )
    flat = np.ptp(total) < FLAT * np.abs(total).max()
    charts.chart(st, figure, "match", say("positions.match_look", **names))
    charts.announced_markdown(f"{reading} {say('positions.match_flat')}" if flat else reading)
    save_menu.menu("match")


def bias(trace: Trace, scheme: PositionScheme, palette: Palette) -> None:
    """Draw the bias that each head adds to its scores, by distance of query and key."""
    assert scheme.bias is not None
    assert scheme.distances is not None
    figure = figures.bias_by_distance(scheme.bias, scheme.distances, palette)
    charts.chart_with_menu(figure, "pe_bias", say("positions.bias_look"))


def unseen(trace: Trace, scheme: PositionScheme, palette: Palette) -> None:
    """Draw nothing: the page's introduction says that the scheme is not exposed."""


SECTIONS = {"sinusoidal": sinusoids, "learned": learned, "rotary": rotary, "bias": bias, "unseen": unseen}
