"""The sections of the Positions page, one for each position scheme."""

from __future__ import annotations

import numpy as np
import streamlit as st

from model.positions.scheme import PositionScheme
from model.positions.sinusoidal import frequencies, rotation, sinusoidal
from viz.figures import positions as figures
from viz.figures.theme import Palette
from viz.frame import links
from viz.language.messages import say
from viz.widgets import charts

MAX_POSITIONS = 128  # rows of a learned table that are drawn


def sinusoids(scheme: PositionScheme, palette: Palette) -> None:
    """Draw sinusoidal encodings as waves, table, similarities and rotation; sliders start at the model's own values."""
    assert scheme.table is not None
    for part in (r"2i)} = \sin", r"2i+1)} = \cos"):
        st.latex(rf"PE_{{(pos,\,{part}\!\left(\frac{{pos}}{{base^{{\,2i/d}}}}\right)")
    own_width = scheme.table.shape[1]
    a, b, c = st.columns(3)
    d_model = a.slider(say("positions.d_model"), 4, max(512, own_width), own_width, 2, key="pe_d", bind="query-params")
    d_model = d_model // 2 * 2  # a link may hold an odd number
    bases = [10, 100, 1_000, 10_000, 100_000, 1_000_000]
    links.restore("pe_base", bases)
    base = b.select_slider(say("positions.base"), bases, 10_000, "{:,}".format, key="pe_base")
    links.store("pe_base", base, 10_000)
    length = c.slider(say("positions.length"), 8, 256, 64, 8, key="pe_length", bind="query-params")
    st.caption(
        say("positions.own" if (d_model, base) == (own_width, 10_000) else "positions.not_own", d_model=own_width)
    )
    encoding = sinusoidal(length, d_model, base)
    shares = [min(int(d_model * share) // 2 * 2 + odd, d_model - 1) for share in (0.15, 0.4) for odd in (0, 1)]
    suggested = sorted({0, 1, *shares})
    if any(dimension >= d_model for dimension in st.session_state.get("pe_dims", [])):
        st.session_state.pe_dims = suggested
    dimensions = st.multiselect(
        say("positions.pick"), range(d_model), suggested, key="pe_dims", max_selections=8, bind="query-params"
    )
    if dimensions:
        charts.chart_with_menu(
            figures.encoding_waves(encoding, dimensions, palette), "waves", say("positions.waves_look")
        )
    else:
        st.info(say("positions.pick_some"), icon=":material/info:")
    charts.chart_with_menu(
        figures.encoding_heatmap(encoding, palette, (-1, 1)), "pe_table", say("positions.table_look")
    )
    charts.chart_with_menu(
        figures.similarity_by_distance(encoding, palette), "pe_similarity", say("positions.similarity_look")
    )

    st.header(say("positions.rotation"), anchor=False)
    st.markdown(say("positions.rotation_why"))
    encoding = sinusoidal(2 * length, d_model, base)  # every offset from every start stays inside
    start, offset = rotation_of_pair(encoding, frequencies(d_model, base), palette, "positions.circle_title")
    error = abs(rotation(offset, d_model, base) @ encoding[start] - encoding[start + offset]).max()
    st.markdown(say("positions.rotated", offset=offset, start=start, error=f"{error:.1e}"))


def rotation_of_pair(encoding: np.ndarray, speeds: np.ndarray, palette: Palette, title: str) -> tuple[int, int]:
    """Draw one pair of dimensions as a point on a circle that rotates with the position; sliders choose the rotation.

    Args:
        encoding: sine and cosine of each pair, interleaved. [position, 2 · pair]
        speeds: angular frequency of each pair, in radians per position. [pair]
        title: id of the figure's title among the texts.

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
    circle = figures.rotation_circle(
        encoding, pair, start, offset, palette, say(title, pair=pair, sine=2 * pair, cosine=2 * pair + 1)
    )
    charts.chart_with_menu(circle, "circle", say("positions.circle_look"))
    st.markdown(say("positions.turned", pair=pair, offset=offset, radians=f"{angle:.4f}"))
    return start, offset


def learned(scheme: PositionScheme, palette: Palette) -> None:
    """Draw a learned position table and the similarities of its rows."""
    assert scheme.table is not None
    table = scheme.table[:MAX_POSITIONS]
    st.caption(say("positions.learned_shown", shown=len(table), total=len(scheme.table), d_model=table.shape[1]))
    similar = figures.similarity_heatmap(table, palette)
    charts.chart_with_menu(similar, "pe_similarity_map", say("positions.learned_similarity_look"))
    charts.chart_with_menu(figures.encoding_heatmap(table, palette), "pe_table", say("positions.learned_table_look"))


def rotary(scheme: PositionScheme, palette: Palette) -> None:
    """Draw the wavelength of each rotary pair, and the rotation of one pair."""
    assert scheme.frequencies is not None
    charts.chart_with_menu(
        figures.wavelength_bars(scheme.frequencies, palette), "wavelengths", say("positions.wavelengths_look")
    )
    angle = np.arange(128)[:, None] * scheme.frequencies
    encoding = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(128, -1)
    rotation_of_pair(encoding, scheme.frequencies, palette, "positions.rotary_title")


def bias(scheme: PositionScheme, palette: Palette) -> None:
    """Draw the bias that each head adds to its scores, by distance of query and key."""
    assert scheme.bias is not None
    assert scheme.distances is not None
    figure = figures.bias_by_distance(scheme.bias, scheme.distances, palette)
    charts.chart_with_menu(figure, "pe_bias", say("positions.bias_look"))


def unseen(scheme: PositionScheme, palette: Palette) -> None:
    """Draw nothing: the page's introduction says that the scheme is not exposed."""


SECTIONS = {"sinusoidal": sinusoids, "learned": learned, "rotary": rotary, "bias": bias, "unseen": unseen}
