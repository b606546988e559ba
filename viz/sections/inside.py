"""The steps of one head's computation, each on a screen of its own, and the widgets that lead through them."""

from __future__ import annotations

import numpy as np
import streamlit as st

from model.measures.heads.head_steps import HeadSteps
from model.trace.edits import Edits, most_specific
from model.trace.tokens import Tokens
from viz.browser.resources import BROWSER
from viz.figures import steps as figures
from viz.figures.key_bars import divisor_bars, key_bars
from viz.figures.worked_head import WorkedHead, worked_head
from viz.frame import lesson_guide, links, session
from viz.frame.fragments import page_fragment
from viz.frame.option_row import option_row
from viz.language import readings
from viz.language.messages import current_language, escape_markdown, say
from viz.widgets import charts, pickers
from viz.widgets.menus import save_menu

STEPS = range(1, 7)  # the last is drawn by `viz.sections.decomposition.match`
STEP = "inside_step"  # key of the widget, and parameter in the link
# While the slider is dragged the browser shows what it gives; Streamlit tells the server when it is let go.
_drag = st.components.v2.component("headlight_divisor", js=(BROWSER / "divisor.js").read_text(encoding="utf-8"))
FACTORS = [round(2 ** (i / 4), 4) for i in range(-12, 13)]  # of the model's divisor: an eighth to eight times


def current_step() -> int:
    """The step on screen, from 1, kept in the session and the link."""
    links.restore(STEP, STEPS)
    step = st.session_state.get(STEP, 1)
    return step if step in STEPS else 1


def pick_step(step: int) -> None:
    """Buttons back and next, each with its key, and a button for each step.

    In a lesson that leads through the steps, its own buttons go back and on, and have the keys.
    """
    lesson = lesson_guide.current_step()
    led = lesson is not None and STEP in lesson[1].also
    with st.container(horizontal=True, key="inside_nav", vertical_alignment="center", gap="small", width="content"):
        for name, icon, key, move in (("back", "chevron_left", "B", -1), ("next", "chevron_right", "N", 1)):
            if name == "next":
                option_row(say("inside.step"), STEPS, 1, STEP, name=lambda one: f"{one} · {say(f'inside.step_{one}')}")
            if led:
                continue
            there = step + move in STEPS
            st.button(
                say(f"inside.{name}"),
                key=f"inside_{name}",
                icon=f":material/{icon}:",
                icon_position="left" if move < 0 else "right",
                shortcut=key,
                on_click=_go,
                args=(step + move,),
                disabled=not there,
                type="primary" if there and move > 0 else "secondary",
            )


def _go(step: int) -> None:
    st.session_state[STEP] = step


def pick_query_and_key(selected: pickers.SelectedHead) -> WorkedHead:
    """The computation of the query in focus, and of the key chosen in a figure or a list, at first the strongest."""
    attention, layer, head, state = selected.attention, selected.layer, selected.head, st.session_state
    row = pickers.chosen_row(attention)
    strongest = int(attention.row(layer, row)[head].argmax())
    name, keys = f"key_{attention.kind}", range(len(attention.keys))
    old = f"{name}_{layer}_{head}_{row}"  # in links made before one key served all heads
    links.restore(old, keys)
    if old in state:
        state.setdefault(name, state[old])
    links.restore(name, keys)
    # A key that nobody chose follows the head to its strongest.
    if state.get(name) not in keys or state[name] == state.get(f"inside_{name}"):
        state[name] = state[f"inside_{name}"] = strongest
    _token_list("row", f"row_{attention.kind}", attention.queries)
    _token_list("key", name, attention.keys)
    links.store(name, state[name], strongest)
    return worked_head(attention, layer, head, row, state[name])


def _token_list(side: str, key: str, tokens: Tokens) -> None:
    """List of tokens, of which the session holds the chosen one. side: "row" or "key"; key: of the widget"""
    st.selectbox(
        say(f"inside.pick_{side}"),
        range(len(tokens)),
        key=key,
        format_func=lambda i: f"{say(f'inside.{side}_short')} {tokens.name(i)}",
        label_visibility="collapsed",
        width=150,
        persist_state="session",
    )


def formula(steps: HeadSteps, step: int) -> None:
    """The formula as this model computes it, with the part of the current step lit."""
    with st.container(key="formula", width="content"):
        st.latex(formula_latex(steps, step, session.palette().sequential[1][1]))


def formula_latex(steps: HeadSteps, step: int, colour: str) -> str:
    """LaTeX of the formula: divided by √d_k, by another number or by none, with a bias where the family adds one.

    Args:
        step: from 1, whose part gets a background of this colour.
    """

    def lit(text: str, *at: int) -> str:
        return rf"\colorbox{{{colour}}}{{$\displaystyle {text}$}}" if step in at else text

    product = lit(r"Q K^\top", 1, 2, 6)
    divisor = lit(r"\sqrt{d_k}" if steps.divides_by_root else f"{steps.divisor:.4g}", 3)
    if _divides(steps):
        product = rf"\frac{{{product}}}{{{divisor}}}"
    if steps.softcap is not None:
        cap = f"{steps.softcap:g}"
        product = rf"{lit(cap, 3)}\tanh\!\left(\tfrac{{1}}{{{cap}}}{product}\right)"
    added = lit("+ B + M" if steps.has_bias else "+ M", 3)
    softmax = lit(r"\mathrm{softmax}", 4)
    return rf"{softmax}\left({product} {added}\right){lit('V', 5)}"


def _divides(steps: HeadSteps) -> bool:
    """Whether the scores are divided by anything but 1."""
    return abs(steps.divisor - 1) > 1e-6


def draw(worked: WorkedHead, step: int, edits: Edits, selected: pickers.SelectedHead) -> None:
    """One step: what happens in it, its figures, and its arithmetic by hand."""
    attention, layers = worked.attention, selected.attention.layer_index
    place = (selected.attention.kind, layers[selected.layer], selected.head)
    names = {"query": escape_markdown(worked.query_name), "key": escape_markdown(worked.key_name)}
    factor = most_specific(edits.heads, *place)
    notes = [] if worked.steps.follows_scores or step < 3 else [say("inside.forced")]
    if step == 5 and factor is not None and factor != 1:
        notes.append(say("inside.factor", factor=f"{factor:g}"))
    if worked.hidden and step != 2:
        notes.append(say("inside.shown", shown=len(worked.shown), total=len(attention.keys)))
    (_vectors, _products, _scores, _softmax, _values)[step - 1](worked, names, " ".join(notes))


def _said(text: str, notes: str, figure: str, arithmetic: str | None = None) -> None:
    """The sentence of the step, said under a saved figure, too, and the arithmetic of the chosen key in a menu."""
    with st.container(horizontal=True, key="inside_said", vertical_alignment="center", gap="small"):
        charts.announced_markdown(f"{text} {notes}".strip(), ahead=figure)
        if arithmetic:
            with st.popover(say("inside.by_hand"), icon=":material/calculate:", key="by_hand", type="tertiary"):
                st.latex(arithmetic)


def _vectors(worked: WorkedHead, names: dict[str, str], notes: str) -> None:
    steps = worked.steps
    largest = max(float(np.abs(steps.query).max()), float(np.abs(steps.keys).max()))
    if largest > worked.limits[1] * 1.001:
        notes += " " + say("inside.beyond", largest=f"{largest:.3g}", limit=f"{worked.limits[1]:.3g}")
    _said(say("inside.said_1", **names), notes, "vectors")
    figure = figures.query_and_keys(worked, session.palette())
    charts.chart(st, figure, "vectors", say("inside.vectors_look"), titled=False)
    save_menu.menu("vectors")


def _products(worked: WorkedHead, names: dict[str, str], notes: str) -> None:
    palette, steps, key = session.palette(), worked.steps, worked.key
    dot = float(steps.running_sums(key)[-1])
    _said(say("inside.said_2", **names, count=len(steps.query), dot=f"{dot:.3f}"), notes, "sums", _by_hand(worked, 0))
    left, right = st.columns([7, 4], gap="medium")
    with left, st.container(key="products_column", gap=None):
        charts.chart(st, figures.factor_strip(worked, palette), "factors", say("inside.factors_look"), titled=False)
        charts.chart(st, figures.product_bars(worked, palette), "products", say("inside.products_look"), titled=False)
        look = say("inside.sums_look", error=f"{steps.dot_error:.0e}")
        charts.chart(st, figures.running_sum(worked, palette), "sums", look, titled=False)
        save_menu.menu("sums")
    with right:
        _bars(worked, "dots", steps.dots, _limits(steps.dots), say("inside.dots_title"), ".2f")


def _bars(
    worked: WorkedHead, name: str, values: np.ndarray, limits: tuple[float, float], title: str, form: str
) -> None:
    """Bars of a value for each key with their menu, in the current container. name: of the figure among the texts"""
    masked = name in ("masked", "powers", "weights")
    palette = session.palette()
    bars = key_bars(worked, values, title, palette, colour=palette.accent, limits=limits, masked=masked, form=form)
    look = say(f"inside.{name}_look", error=f"{worked.steps.error:.0e}")
    charts.chart(st, bars, name, readings.weights_look(worked.steps) if name == "weights" else look, titled=False)
    save_menu.menu(name)


def _scores(worked: WorkedHead, names: dict[str, str], notes: str) -> None:
    steps, dim = worked.steps, len(worked.steps.query)
    divisor, forbidden = f"{steps.divisor:.4g}", int((~steps.allowed).sum())
    how = "root" if steps.divides_by_root else "other" if _divides(steps) else "none"
    said = [say(f"inside.scale_{how}", dim=dim, divisor=divisor)]
    said += [] if steps.softcap is None else [say("inside.cap", cap=f"{steps.softcap:g}")]
    said += [say("inside.bias")] if steps.has_bias else []
    said.append(say("inside.mask_some" if forbidden else "inside.mask_none", count=forbidden, **names))
    _said(" ".join(said), notes, "masked", _by_hand(worked, 1))
    panels = [("dots", steps.dots, say("inside.dots_title"))]
    if _divides(steps):
        title = say("inside.scaled_title", divisor=f"√{dim}" if steps.divides_by_root else divisor)
        panels.append(("scaled", steps.dots * steps.scale, title))
    if steps.has_bias:
        panels.append(("bias", steps.bias, say("inside.bias_title")))
    panels.append(("masked", steps.scaled, say("inside.masked_title")))
    limits = _limits(*(values for _, values, _ in panels))
    for column, (name, values, title) in zip(st.columns(len(panels)), panels, strict=True):
        with column:
            _bars(worked, name, values, limits, title, ".2f")


def _softmax(worked: WorkedHead, names: dict[str, str], notes: str) -> None:
    steps = worked.steps
    left, right = st.columns([7, 4], gap="medium", vertical_alignment="center")
    with left:
        sink = "" if steps.sink is None else say("inside.sink", share=f"{max(1 - float(steps.weights.sum()), 0):.0%}")
        _said(f"{say('inside.said_4', **names)} {sink}".strip(), notes, "weights", _by_hand(worked, 2))
    slider, columns = right.empty(), st.columns(4)
    panels = (
        ("masked", steps.scaled, _limits(steps.scaled), ".2f"),
        ("powers", steps.exponentials(), (0.0, 1.0), ".4f"),
        ("weights", steps.weights, (0.0, 1.0), ".1%"),
    )
    for column, (name, values, limits, form) in zip(columns, panels, strict=False):
        with column:
            _bars(worked, name, values, limits, say(f"inside.{name}_title"), form)
    place = columns[3].empty()
    with slider.container():
        _other_divisor(worked, place)


@page_fragment
def _other_divisor(worked: WorkedHead, place: st.delta_generator.DeltaGenerator) -> None:
    """A slider for the divisor, and the weights that it gives beside those of the model."""
    palette, steps = session.palette(), worked.steps
    own = FACTORS.index(1)
    links.restore("divisor", range(len(FACTORS)))
    # The browser remembers the slider's label: under other labels it would be at the left end.
    mark = (f"{steps.divisor:.4g}", current_language())
    known = st.session_state.setdefault("divisor_of", mark) == mark
    if not known or st.session_state.get("divisor") not in range(len(FACTORS)):
        st.session_state.divisor, st.session_state.divisor_of = own, mark

    def label(i: int) -> str:
        value = f"{steps.divisor * FACTORS[i]:.3g}"
        return say("inside.own_divisor", value=value) if i == own else value

    chosen = st.select_slider(
        say("inside.divisor", own=f"{steps.divisor:.3g}"),
        range(len(FACTORS)),
        key="divisor",
        format_func=label,
        persist_state="session",
    )
    links.store("divisor", chosen, own)
    bars = divisor_bars(worked, [steps.divisor * factor for factor in FACTORS], chosen, own, palette)
    with place.container():
        charts.chart(st, bars, "yours", say("inside.yours_look"), titled=False)
        st.caption(say("inside.yours_look"))
    _drag(key="script_divisor")


def _values(worked: WorkedHead, names: dict[str, str], notes: str) -> None:
    palette, steps = session.palette(), worked.steps
    _said(say("inside.said_5", **names), notes, "weighted")
    left, right = st.columns([3, 9], gap="small")
    with right:
        figure = figures.weighted_values(worked, palette)
        charts.chart(st, figure, "weighted", say("inside.weighted_look"), titled=False)
        save_menu.menu("weighted")
    with left:
        bars = key_bars(
            worked,
            steps.weights,
            say("inside.weights_title"),
            palette,
            colour=palette.accent,
            limits=(0.0, 1.0),
            masked=True,
            form=".1%",
            blank_rows=2 + bool(worked.hidden),
        )
        charts.chart(st, bars, "weights", readings.weights_look(steps), titled=False)
        charts.noted_caption(say("inside.output_error", error=f"{steps.output_error:.0e}"), "weights")


def _by_hand(worked: WorkedHead, line: int) -> str:
    return readings.weight_arithmetic(worked.steps, worked.key)[line]


def _limits(*values: np.ndarray) -> tuple[float, float]:
    """Least and largest of all values."""
    together = np.concatenate(values)
    return float(together.min()), float(together.max())
