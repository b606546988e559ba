"""The sections of the Masks page: the mask beside the scores before and after it, and padding in a batch."""

from __future__ import annotations

from functools import partial

import streamlit as st

from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.figures.bar_below import with_room_below
from viz.figures.masks import mask_heatmap, score_heatmap
from viz.figures.theme import Palette
from viz.frame import lesson_guide, links, model_access
from viz.frame.shown_run import results
from viz.language import messages, readings
from viz.language.messages import say
from viz.widgets import charts, edit_panel, pickers
from viz.widgets.menus import save_menu


def pick_head(trace: Trace) -> pickers.SelectedHead:
    """The head chosen by widgets; at first of a kind in which something is masked, unless the link names a kind."""
    kinds = list(trace.attentions)
    if "kind" not in st.query_params and lesson_guide.current_step() is None:
        shown = st.session_state.get("kind")
        order = [shown, *kinds] if shown in kinds else kinds
        masked = [kind for kind in order if _forbids(trace.attentions[kind])]
        st.session_state.kind = (masked or [shown if shown in kinds else pickers.default_kind(trace)])[0]
    selected = pickers.head_stepper(trace)
    links.store("kind", selected.attention.kind, None)  # also the default: without it the page would choose again
    return selected


def _forbids(attention: Attention) -> bool:
    """Whether the mask of some layer forbids a cell."""
    return any(not attention.mask(layer).all() for layer in range(attention.num_layers))


def mask_and_scores(trace: Trace, selected: pickers.SelectedHead, palette: Palette) -> None:
    """Draw a head's mask, whose cells are clicked, and beside it its scores before and after the mask."""
    attention, layer, head = selected.attention, selected.layer, selected.head
    can_edit = bool(model_access.open_model().heads)
    mask, before, after = st.columns(3, gap="small")
    with mask:
        title = say(f"kinds.{attention.kind}_mask")
        st.markdown(f"**{title}**", help=say(f"masks.{attention.kind}_why"))
        figure = mask_heatmap(attention, layer, palette, title, clickable=can_edit)
        caption = readings.mask_reading(attention, layer, trace.edits) + (f" {say('masks.paint')}" if can_edit else "")
        toggle = partial(edit_panel.toggle_cell, "mask", attention.kind)
        charts.chart(st, with_room_below(figure), "mask", caption, on_select=toggle if can_edit else None, titled=False)
        save_menu.menu("mask")
    if not attention.has_vectors:
        before.info(say("parts.no_vectors"), icon=":material/info:")
        return
    for column, key, masked in ((before, "before", False), (after, "after", True)):
        with column:
            figure = score_heatmap(attention, layer, head, palette, masked=masked)
            st.markdown(f"**{say(f'masks.{key}_title')}**", help=say("masks.score_help"))
            charts.chart(st, figure, key, say(f"masks.{key}_look"), titled=False)
            save_menu.menu(key)


def padding(palette: Palette) -> None:
    """Draw the masks of the sentence and of a second one beside it, which are read as one batch."""
    st.header(say("masks.batch"), anchor=False, help=say("masks.batch_why"))
    other = st.text_input(say("masks.other"), say("masks.other_default"), key="other", bind="query-params")
    pair = results.traces((model_access.model_input(), other), (model_access.forced_target(), None), box="other")
    kinds = [kind for kind in pair[0].attentions if kind != "decoder" or len(pair[0].attentions) == 1]
    columns = iter(st.columns(4, gap="small"))  # at most two kinds of two sentences
    for number, one in enumerate(pair, 1):
        for kind in kinds:
            with next(columns):
                padded = one.attentions[kind]
                title = say("masks.batch_title", mask=say(f"kinds.{kind}_mask"), number=number)
                st.markdown(f"**{title}**", help=messages.escape_markdown(messages.abbreviated(one.text)))
                figure = mask_heatmap(padded, 0, palette, title, linked=False)
                caption = readings.mask_reading(padded, 0, one.edits)
                charts.chart(st, figure, f"batch_{kind}_{number}", caption, titled=False)
                save_menu.menu(f"batch_{kind}_{number}")
