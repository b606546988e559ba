"""The first screen of the Compare page: tiles that A and B are picked from, and A, B and B − A beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.measures import alignment, similarity, weight_scales
from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.browser.resources import script
from viz.figures import compare_heads, compare_runs
from viz.figures.linking import query_stack
from viz.figures.theme import Palette
from viz.frame import session
from viz.frame.fragments import page_fragment
from viz.frame.option_row import option_row
from viz.frame.shown_run import results
from viz.language.messages import escape_markdown, say
from viz.sections.compare import compare_sides, rollout
from viz.sections.compare.compare_sides import OtherRun, Side
from viz.widgets import charts, pickers
from viz.widgets.menus import save_menu

KEY = "script_compare"
ARROWS = (
    ("layer", -1, "Up", "arrow_upward", "layer_up"),
    ("layer", 1, "Down", "arrow_downward", "layer_down"),
    ("head", -1, "Left", "arrow_back", "head_left"),
    ("head", 1, "Right", "arrow_forward", "head_right"),
)
_component = st.components.v2.component("headlight_compare", js=script("tiles", "compare"))


@dataclass(frozen=True)
class View:
    """How the maps are drawn.

    Attributes:
        scale: one of `weight_scales.SCALES`.
        hide: whether special tokens and the first token are left out.
        picture: whether weights are laid over the input picture.
    """

    scale: str
    hide: bool
    picture: bool


@dataclass(frozen=True)
class Pairs:
    """Aligned queries and keys of A and B, and the labels of their common axes."""

    rows: alignment.AlignedPairs
    columns: alignment.AlignedPairs
    down: compare_runs.AlignedLabels
    across: compare_runs.AlignedLabels

    @classmethod
    def of(cls, a: Side, b: Side) -> Pairs:
        """The tokens of two sides, aligned."""
        rows = alignment.align_tokens(a.attention.queries, b.attention.queries)
        columns = alignment.align_tokens(a.attention.keys, b.attention.keys)
        down = compare_runs.aligned_labels(rows, a.attention.queries, b.attention.queries)
        across = compare_runs.aligned_labels(columns, a.attention.keys, b.attention.keys)
        return cls(rows, columns, down, across)


def pick_view(trace: Trace, attention: Attention) -> View:
    """The scale and what is left out, chosen in a menu, and for pictures whether weights lie over the picture."""
    over = has_patches(trace, attention)
    if over:
        over = option_row(say("compare.view"), ["picture", "maps"], "picture", "view") == "picture"
    with st.popover(say("compare.scale"), key="scale_menu", icon=":material/tune:", type="tertiary"):
        scale = option_row(
            say("compare.scale"), weight_scales.SCALES, "weight", "scale", help=say("compare.scale_help")
        )
        st.caption(say(f"compare.scale_{scale}"))
        hide = st.toggle(say("compare.sink"), key="sink", help=say("compare.sink_help"), bind="query-params")
    return View(scale, hide, over)


def has_patches(trace: Trace, attention: Attention) -> bool:
    """Whether the keys of an attention are the patches of a picture."""
    picture = trace.picture
    return picture is not None and len(attention.keys) == picture.first + picture.rows * picture.columns


@page_fragment
def draw(trace: Trace, attention: Attention, other: OtherRun, view: View) -> None:
    """Tiles, maps and reading; what is asked for only on demand stands below."""
    palette = session.palette()
    a, b = _pick_heads(trace, attention, other)
    pairs, row = Pairs.of(a, b), pickers.chosen_row(attention)
    divergence = similarity.row_divergence(a.weights(), b.weights(), pairs.rows, pairs.columns)
    left, right = st.columns([4, 9], gap="small")
    with left:
        _tiles(a, b, other, palette)
    with right:
        over = view.picture and has_patches(b.trace, b.attention) and len(pairs.columns) == len(attention.keys)
        places, room = st.columns(3, gap="small"), st.container(key="reading")
        (_over_picture if over else _maps)((a, b), pairs, view, row, palette, places)
        reading = f"{_row_reading(a, b, pairs, row, divergence)} {_divergence_reading(divergence, pairs.down)}"
        charts.announced_markdown(reading.strip(), room)
        save_menu.register_note("map_difference", reading.strip())
        for place, key in zip(st.columns(3, gap="small"), ("a", "b", "difference"), strict=True):
            with place:
                save_menu.menu(f"map_{key}")
    with left, st.container(key="bars"):
        marks = compare_runs.focus_marks(pairs.rows, query_stack(attention.kind), "x")
        bars = compare_runs.row_divergence_bars(divergence, pairs.down, palette, marks)
        charts.chart_with_menu(bars, "row_divergence", say("compare.rows_look"))
    compare_sides.draw_output(a, b, other, pairs.rows)
    rollout.more(a, b, palette)


def _pick_heads(trace: Trace, attention: Attention, other: OtherRun) -> tuple[Side, Side]:
    """Both sides, with the switch and the arrows that say which of them a click and a key set, in one row."""
    state = st.session_state
    with st.container(horizontal=True, key="ab_row", vertical_alignment="center", gap="small"):
        side = "A"
        if other.own_head:
            side = st.segmented_control(
                say("compare.switch"), ["A", "B"], default="A", required=True, key="pick_side",
                label_visibility="collapsed", persist_state="session",
            ) or "A"  # fmt: skip
        arrows = st.container(horizontal=True, key="ab_keys", gap=None, width="content")
        st.caption(session.say_to_hand("compare.pick_both" if other.own_head else "compare.pick_one"))
        b_attention = compare_sides.pick_kind(attention, other)
    a, b = compare_sides.chosen_sides(trace, attention, other, b_attention)
    one = b if side == "B" else a
    state.compare_side = side.lower()
    for what, step, key, icon, words in ARROWS:
        count = one.attention.num_layers if what == "layer" else one.attention.num_heads
        arrows.button(
            f":material/{icon}:",
            key=f"ab_{words}",
            shortcut=key,
            on_click=_step,
            args=(f"b_{what}" if side == "B" else what, step, count),
            help=say(f"audience.{words}"),
            type="tertiary",
        )
    return a, b


def _step(key: str, step: int, count: int) -> None:
    """One layer or head on, round in a circle; a callback. key: in the session; count: of layers or heads"""
    st.session_state[key] = ((st.session_state.get(key) or 0) + step) % count


def _tiles(a: Side, b: Side, other: OtherRun, palette: Palette) -> None:
    """Draw all heads of side A, or of the switch's side where the two sides have different heads."""
    switch = st.session_state.compare_side
    alike = (a.name, a.attention.kind) == (b.name, b.attention.kind)
    shown = a if alike or switch == "a" else b
    mosaic = compare_heads.picker_mosaic(results.mosaic(shown.trace, shown.attention, palette))
    table = save_menu.weights_table(shown.attention)
    charts.chart(st, mosaic, "compare_tiles", session.say_to_hand("heads.mosaic_look"), table=table, titled=False)
    only = None if alike and other.own_head else switch
    ends = {"a": [a.layer, a.head], "b": [b.layer, b.head]}
    kept = ("a", "b") if only is None else (only,)
    save_menu.register_frames("compare_tiles", {name.upper(): ends[name] for name in kept})
    data = {name: ends[name] if name in kept else None for name in ends} | {"only": only}
    _component(key=KEY, data=data, on_pick_change=_pick)


def _pick() -> None:
    """Take the head of a clicked tile; a callback."""
    picked = st.session_state[KEY].pick
    if picked:
        prefix = "b_" if picked[0] == "b" else ""
        st.session_state[f"{prefix}layer"], st.session_state[f"{prefix}head"] = int(picked[1]), int(picked[2])


def _title(name: str, side: Side) -> str:
    """Title of the map of side A or B."""
    layer = side.attention.layer_index[side.layer]
    return say("compare.side", side=name, kind=say(f"kinds.{side.attention.kind}"), layer=layer, head=side.head)


def _maps(
    sides: tuple[Side, Side], pairs: Pairs, view: View, row: int, palette: Palette, places: Sequence[DeltaGenerator]
) -> None:
    """Draw A, B and B − A on aligned tokens; A and B share one scale."""
    maps = [
        values
        for side, name, queries, keys in zip(
            sides, "AB", zip(*pairs.rows, strict=True), zip(*pairs.columns, strict=True), strict=True
        )
        if (values := _values(side, name, view, queries, keys)) is not None
    ]
    if len(maps) < 2:
        st.info(say("compare.no_norms"), icon=":material/info:")
        return
    low = float(np.log10(weight_scales.LOG_FLOOR)) if view.scale == "log" else 0.0
    high = {"weight": 1.0, "log": 0.0}.get(view.scale, max(float(np.nanmax(one, initial=0.0)) for one in maps))
    kind = sides[0].attention.kind
    titles = [*(_title(name, side) for name, side in zip("AB", sides, strict=True)), say("compare.difference")]
    for place, values, title, key in zip(
        places, [*maps, maps[1] - maps[0]], titles, ("a", "b", "difference"), strict=True
    ):
        figure = compare_runs.comparison_heatmap(
            values, pairs.down, pairs.across, kind, title, palette,
            unit=say(f"compare.unit_{view.scale}"), limits=(low, high), side=key,
            tickformat=".0%" if view.scale == "weight" else None,
            focus=compare_runs.focus_marks(pairs.rows, query_stack(kind)),
        )  # fmt: skip
        look = say("compare.difference_look" if key == "difference" else "compare.map_look")
        charts.chart(place, figure, f"map_{key}", look)


def _values(
    side: Side, name: str, view: View, queries: tuple[int | None, ...], keys: tuple[int | None, ...]
) -> np.ndarray | None:
    """A side's map on the aligned tokens, NaN in masked cells; None where norms are not available."""
    weights = side.weights()
    if view.hide:
        weights, removed = weight_scales.drop_sink_tokens(weights, side.attention.keys)
        said = say("compare.removed", side=name, share=f"{removed:.0%}")
        st.caption(said)
        save_menu.note_ahead(f"map_{name.lower()}", said)
    allowed = side.attention.mask(side.layer)
    if view.scale == "norm":
        values = side.value_norms(weights)
    else:
        values = weight_scales.apply_scale(weights, allowed, view.scale)
    if values is None:
        return None
    return alignment.expand_to_alignment(np.where(allowed, values, np.nan), queries, keys)


def _over_picture(
    sides: tuple[Side, Side], pairs: Pairs, view: View, row: int, palette: Palette, places: Sequence[DeltaGenerator]
) -> None:
    """Draw where one query looks in A, in B and the difference, over the picture that both runs saw."""
    a, b = sides
    partner = dict(pairs.rows).get(row)
    if partner is None:
        st.info(say("compare.no_partner"), icon=":material/info:")
        return
    weights = [a.weights()[row], b.weights()[partner]]
    weights.append(weights[1] - weights[0])
    picture = a.trace.picture
    assert picture is not None
    patches = [one[picture.first :] for one in weights]
    most = max(float(patches[0].max()), float(patches[1].max())) or 1.0
    spread = float(np.abs(patches[2]).max()) or 1.0
    token = a.attention.queries.texts[row]
    titles = (_title("A", a), _title("B", b), say("compare.difference"))
    for place, values, title, key in zip(places, weights, titles, ("a", "b", "difference"), strict=True):
        figure = compare_runs.picture_comparison(
            picture, values, row, token, title, palette, side=key, most=spread if key == "difference" else most,
        )  # fmt: skip
        look = say("compare.difference_look" if key == "difference" else "compare.picture_look")
        charts.chart(place, figure, f"map_{key}", look)


def _row_reading(a: Side, b: Side, pairs: Pairs, row: int, divergence: np.ndarray) -> str:
    """One sentence on where the chosen query looks most in A and in B, and how far the two rows differ."""
    place = next((at for at, (i, _) in enumerate(pairs.rows) if i == row), None)
    if place is None or not np.isfinite(divergence[place]):
        return ""
    partner = pairs.rows[place][1]
    parts = {"token": escape_markdown(pairs.down.names[place]), "bits": _percent(divergence[place])}
    for name, side, query in (("a", a, row), ("b", b, partner)):
        weights = side.weights()[query]
        key = int(weights.argmax())
        parts |= {name: escape_markdown(side.attention.keys.name(key)), f"{name}_share": f"{weights[key]:.0%}"}
    return say("compare.row_words", **parts)


def _divergence_reading(divergence: np.ndarray, rows: compare_runs.AlignedLabels) -> str:
    """One sentence on the largest and mean divergence of the rows, and on rows without a partner."""
    partners = int(np.isfinite(divergence).sum())
    unmatched = len(divergence) - partners
    if not partners:
        return say("compare.no_partner")
    if not np.nanmax(divergence):
        sentence = say("compare.equal")
    else:
        most = int(np.nanargmax(divergence))
        token, share = escape_markdown(rows.names[most]), _percent(divergence[most])
        sentence = say("compare.in_words", token=token, bits=share, mean=_percent(np.nanmean(divergence)))
    return f"{sentence} {say('compare.alone', count=unmatched)}" if unmatched else sentence


def _percent(share: float) -> str:
    """A share in percent, as precise as is needed to tell it from 0."""
    return "< 0.1%" if 0 < share < 0.0005 else f"{share:.1%}" if 0 < share < 0.01 else f"{share:.0%}"
