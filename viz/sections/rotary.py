"""The sections of the Positions page for models that rotate queries and keys."""

from __future__ import annotations

import numpy as np
import streamlit as st

from model.positions.scheme import PositionScheme, Rotation
from model.trace.trace import Trace
from viz.figures import positions as figures
from viz.figures import waves
from viz.figures.theme import Palette
from viz.frame import links
from viz.language.messages import escape_markdown, say, whole_number
from viz.sections.positions import focus_tokens, rotation_of_pair
from viz.widgets import charts, pickers
from viz.widgets.menus import save_menu

MIN_DISTANCE = 64  # positions that the match of a query and a key is drawn for, at least
FLAT = 0.1  # of the largest match: a smaller change with the distance is called none


def rotary(trace: Trace, stack: str, scheme: PositionScheme, palette: Palette) -> None:
    """Draw waves of some rotary pairs, the match of one query and key by distance, wavelengths, and a rotation."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        chosen = pickers.head_stepper(trace, arrows=False)
        rotation = scheme.rotation(chosen.layer) or scheme.rotations[0]
        speeds = rotation.frequencies
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
        row = pickers.chosen_row(chosen.attention)
        key = _pick_key(chosen, row)
    _which_layers(chosen, scheme, rotation)
    names = [say("positions.pair_wave", pair=pair, length=whole_number(2 * np.pi / speeds[pair])) for pair in pairs]
    curves = [waves.Wave(name, float(speeds[pair]), True) for name, pair in zip(names, pairs, strict=True)]
    tokens = focus_tokens(trace, stack, MIN_DISTANCE)
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
        encoding = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
        places = np.arange(2 * len(speeds)).reshape(2, -1).T
        rotation_of_pair(encoding, Rotation(speeds, places), palette, "positions.rotary_title", tokens)


def _which_layers(chosen: pickers.SelectedHead, scheme: PositionScheme, rotation: Rotation) -> None:
    """Say which layers the drawn angles are those of, where not all layers rotate alike."""

    def named(layers: tuple[int, ...]) -> str:
        index = chosen.attention.layer_index
        return ", ".join(str(index[layer]) for layer in layers if layer < len(index))

    said = []
    if len(scheme.rotations) > 1 and rotation.layers:
        said.append(say("positions.these_layers", layers=named(rotation.layers)))
    if scheme.unrotated:
        said.append(say("positions.still_layers", layers=named(scheme.unrotated)))
    if said:
        st.caption(" ".join(said))
        save_menu.note_ahead("waves", " ".join(said))


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
    rotation = scheme.rotation(layer)
    if attention.kind == "cross" or rotation is None or rotation.pairs is None or not attention.has_vectors:
        still = "still" if layer in scheme.unrotated else "unknown"
        st.info(say(f"positions.match_{'cross' if attention.kind == 'cross' else still}"))
        return
    reach = max(MIN_DISTANCE, len(attention.keys))
    distances = (0 if attention.kind == "decoder" and row >= key else -reach, reach, row - key)
    query, asked = attention.query(layer)[head, row], attention.key(layer)[head, key]
    figure = waves.match_curve(query, asked, rotation, distances, pairs, palette)
    names = {
        "query": escape_markdown(attention.queries.name(row)),
        "key": escape_markdown(attention.keys.name(key)),
    }
    total = waves.match_at_whole_distances(query, asked, rotation, distances)
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
    reading = f"{reading} {say('positions.match_flat')}" if flat else reading
    charts.announced_markdown(reading)
    save_menu.register_note("match", reading)
    save_menu.menu("match")
