"""The whole model in one picture: what is drawn of a run, the panel beside it, and where its boxes lead."""

from __future__ import annotations

from functools import partial

import streamlit as st

from model.maps.words import join_silence
from model.measures.probabilities import most_probable, probabilities
from model.positions.scheme import PositionScheme
from model.trace.boxes.stack import ATTENTION
from model.trace.boxes.stack_summary import StackSummary
from model.trace.recorded_layer import RecordedLayer
from model.trace.trace import Trace
from viz.browser.resources import BROWSER
from viz.figures.whole_boxes import Box, boxes
from viz.figures.whole_layout import BARS, WholeModel
from viz.figures.whole_model import whole_model
from viz.frame import links, model_access, session
from viz.frame.fragments import page_fragment
from viz.frame.shown_run import decompositions
from viz.language.messages import say
from viz.saving.whole_table import whole_table
from viz.sections import whole_changes
from viz.widgets import charts, page_check
from viz.widgets.menus import save_menu

KEY = "script_whole"  # keys that begin so take no room on the page
FURTHER = ("inside", "masks")  # pages that show an attention beside Heads
TILE = 28  # pixels of a head's small map
_component = st.components.v2.component("headlight_whole", js=(BROWSER / "whole.js").read_text(encoding="utf-8"))


def leave() -> None:
    """Go to the page of the box that was clicked, if one was; before anything is drawn."""
    page = st.session_state.pop("whole_leads_to", None)
    if page:
        st.switch_page(f"viz/pages/{page}.py", query_params={})


@page_fragment
def draw(trace: Trace) -> None:
    """The picture and its panel. What is clicked in it opens a layer, or leads to the page that explains a box."""
    if st.session_state.pop("whole_changed", False):
        st.rerun()  # not the picture alone: the run is another one now
    try:
        summaries = decompositions.block_summaries(trace)
    except session.Halt:  # said by now; its heads can be seen all the same
        st.page_link("viz/pages/heads.py", label=say("heads.title"), icon=":material/grid_view:")
        raise
    page_check.claim(trace, "boxes", max(summary.error for summary in summaries.values()))
    step = _step(trace)
    opened = {stack: _opened(stack, summary) for stack, summary in summaries.items()}
    model = _model(trace, summaries, opened, step)
    table = boxes(model)
    figure = whole_model(model, session.palette(), table)
    left, right = st.columns([10, 3], gap="small")
    with left:
        charts.chart(st, figure, "whole", say("whole.caption"), titled=False)
        numbers = partial(whole_table, model)
        save_menu.register_figure(figure, "whole", say("whole.caption"), numbers, wide=numbers)
        save_menu.menu("whole")
    with right:
        st.html(f'<div class="whole-panel" aria-live="polite"><p>{session.say_to_hand("whole.point")}</p></div>')
        whole_changes.choice(opened)
    words = {name: say(f"whole.{name}") for name in ("play", "pause", "back", "on", "goto", "unfold")}
    words["point"] = session.say_to_hand("whole.point")
    words["stream"] = say("whole.stream", length="{length}", kept="{kept}")  # filled in by the browser
    follow = {box.name: _follow(summaries[box.stack], box.layer, box.block) for box in table}
    changes = whole_changes.remember(summaries)
    shown = {box.attention for box in table if box.attention and _layer(trace, box.attention)}
    pages = {box.name: _further_pages(trace, box) for box in table if box.attention in shown}
    data = {"words": words, "follow": follow, "changes": changes, "pages": pages, "narrow": _is_narrow()}
    _component(key=KEY, data=data, on_click_change=_clicked, on_narrow_change=_resized, on_leave_change=_left_out)
    st.session_state.whole_boxes = {
        box.name: (box.page, box.stack, box.layer, box.attention if box.attention in shown else None, box.kind)
        for box in table
    }
    if st.session_state.get("whole_leads_to") and not st.session_state.whole:
        st.rerun()


def _step(trace: Trace) -> int | None:
    """The decoder token after which the next one is shown, by a slider; None where the model writes nothing."""
    if trace.logits is None or "decoder" not in trace.tokens or not trace.prompt_length:
        return None
    last = len(trace.ids["decoder"]) - trace.prompt_length
    links.restore("step", range(last + 1))
    st.session_state.step = min(int(st.session_state.get("step") or 0), last)
    if last:
        with st.session_state.whole_controls:
            label = say("whole.step")
            st.slider(label, 0, last, key="step", label_visibility="collapsed", width=260, persist_state="session")
    links.store("step", st.session_state.step, 0)
    return trace.prompt_length - 1 + st.session_state.step


def _opened(stack: str, summary: StackSummary) -> int:
    """The layer of a stack that is open; at first the second, which no embedding feeds directly."""
    key, last = f"open_{stack}", len(summary.layers) - 1
    links.restore(key, range(last + 1))
    start = min(1, last)
    opened = min(int(st.session_state.setdefault(key, start)), last)
    links.store(key, opened, start)
    return opened


def _model(trace: Trace, summaries: dict[str, StackSummary], opened: dict[str, int], step: int | None) -> WholeModel:
    """What the picture is drawn from."""
    shown = [block.attention for stack, layer in opened.items() for block in summaries[stack].layers[layer]]
    tiles = {place: found.overview(TILE).maps for place in shown if place and (found := _layer(trace, place))}
    candidates, written = [], None
    if step is not None and trace.logits is not None:
        chances = probabilities(trace.logits[step])
        best = most_probable(chances, BARS).tolist()
        labels = model_access.open_model().labels(best)
        candidates = [(label, float(chances[token])) for label, token in zip(labels, best, strict=True)]
        ids = trace.ids["decoder"]
        written = best.index(ids[step + 1]) if step + 1 < len(ids) and ids[step + 1] in best else None
    turned = _scheme().kind == "rotary"
    before = whole_changes.summaries_before(trace, summaries)
    out = whole_changes.left_out(summaries)
    return WholeModel(summaries, trace.tokens, opened, tiles, candidates, written, turned, _is_narrow(), before, out)


def _is_narrow() -> bool:
    """Whether the picture's room is narrow, as the browser says; until it has, whether a phone asks."""
    if "narrow" not in st.session_state:
        return session.on_phone()
    return bool(st.session_state.narrow)


def _resized() -> None:
    """Remember how much room the picture has; a callback."""
    st.session_state.narrow = bool(st.session_state[KEY].narrow)


def _layer(trace: Trace, place: tuple[str, int]) -> RecordedLayer | None:
    """The attention layer of a block, or None where the model's family shows none."""
    kind, layer = place
    found = trace.attentions.get(kind)
    return join_silence(found).layers[layer] if found and 0 <= layer < found.num_layers else None


def _scheme() -> PositionScheme:
    return model_access.open_model().positions()


def _follow(summary: StackSummary, layer: int | None, block: int | None) -> dict[str, list[float]]:
    """Length of each token's stream after a box, and how much of it still points where the token's own vector does."""
    if layer is None or not summary.layers[layer]:
        return {}
    found = summary.layers[layer][-1 if block is None else block]
    return {
        "length": [round(one, 1) for one in found.length.tolist()],
        "kept": [round(one, 3) for one in found.kept.tolist()],
    }


def _further_pages(trace: Trace, box: Box) -> list[tuple[str, str]]:
    """Names and titles of the pages that an attention can be seen on beside Heads."""
    pages = ["inside"] if box.attention and trace.attentions[box.attention[0]].has_vectors else []
    pages += ["masks"] if (box.stack, box.kind) == ("decoder", ATTENTION) else []
    return [(page, say(f"{page}.title")) for page in pages]


def _left_out() -> None:
    """Leave out the box that is shown, or put it back; a callback."""
    if st.session_state[KEY].leave:
        whole_changes.change(st.session_state[KEY].leave)


def _clicked() -> None:
    """Open a folded layer, or remember the page that a box, or a button at it, leads to; a callback."""
    state = st.session_state
    name, _, further = (state[KEY].click or "").partition(" ")
    found = state.get("whole_boxes", {}).get(name)
    if found is None:
        return
    page, stack, layer, attention, kind = found
    if kind == "folded":
        state[f"open_{stack}"] = layer
        return
    if attention is not None:
        state.kind, state.layer = attention
        state.head = 0
        page = further if further in FURTHER else page
    elif page == "layers":
        state.stack = stack
        if layer is not None:
            state.ff_layer, state.depth = layer, layer + 1
    state.whole_leads_to = page
