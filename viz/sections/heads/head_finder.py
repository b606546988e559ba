"""Under the tiles: heads found by what they do in this sentence, and what the browser writes of each head."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from model.measures.heads.head_characters import MAX_TOKENS, Character
from model.trace.attention import Attention
from model.trace.edits import most_specific
from model.trace.trace import Trace
from viz.frame.fragments import page_fragment
from viz.frame.shown_run import results
from viz.language import readings
from viz.language.messages import escape_markdown, say

MOST = 6  # heads in the list; the tiles show them all


@page_fragment
def draw(trace: Trace, attention: Attention) -> None:
    """Characters to choose from; the browser lights the tiles of those heads, and lists the clearest."""
    found = [one for one in results.characters(trace, attention) if one.named.any()]
    st.html(_heads_for_browser(trace, attention))
    if max(len(attention.queries), len(attention.keys)) > MAX_TOKENS:
        st.caption(say("characters.long", count=MAX_TOKENS))
        return
    if not found:
        st.caption(say("characters.none"))
        return
    names = {f"{one.name} {one.token}".strip(): one for one in found}
    if st.session_state.get("find") not in names:
        st.session_state.find = None
    chosen = st.pills(
        say("characters.find"),
        list(names),
        format_func=lambda name: (
            f"{escape_markdown(readings.character_label(names[name]))} :gray[{int(names[name].named.sum())}]"
        ),
        key="find",
        help=say("characters.help"),
    )
    if chosen:
        st.html(_list(names[chosen], attention.layer_index))


def _list(character: Character, layers: Sequence[int]) -> str:
    """The heads of a character as HTML, highest share first; the browser opens the one that is clicked."""
    places = np.argwhere(character.named)
    order = np.argsort([-character.share[tuple(place)] for place in places], kind="stable")
    places = places[order].tolist()
    lit = " ".join(f"{layer}.{head}" for layer, head in places)
    sentence = "characters.found_spread" if character.name == "spreads" else "characters.found"
    items = []
    for layer, head in places[:MOST]:
        share, baseline = f"{character.share[layer, head]:.0%}", f"{character.baseline[layer, head]:.0%}"
        text = say(sentence, layer=layers[layer], head=head, share=share, baseline=baseline)
        items.append(f'<span role="button" tabindex="0" data-open="{layer}.{head}">{escape(text)}</span>')
    if len(places) > MOST:
        items.append(f"<span>{escape(say('characters.more', count=len(places) - MOST))}</span>")
    return f'<div class="found-heads" data-lit="{lit}">{"".join(items)}</div>'


def _heads_for_browser(trace: Trace, attention: Attention) -> str:
    """An element with the end of each head's heading, and the heads that the edits mute or change."""
    heads = [(layer, head) for layer in range(attention.num_layers) for head in range(attention.num_heads)]
    said = {f"{layer}.{head}": head_words(trace, attention, layer, head) for layer, head in heads}
    marks = {f"{layer}.{head}": head_mark(trace, attention.kind, layer, head) for layer, head in heads}
    data = {"said": {name: words for name, words in said.items() if words}}
    data["marks"] = {name: mark for name, mark in marks.items() if mark}
    return f'<div class="heads-said" data-heads="{escape(json.dumps(data))}" hidden></div>'


def head_words(trace: Trace, attention: Attention, layer: int, head: int) -> str:
    """What a head does in this sentence, with its share, and whether the edits change it; "" where there is neither."""
    mark = head_mark(trace, attention.kind, layer, head)
    phrase = readings.head_character(results.characters(trace, attention), layer, head)
    return " · ".join(filter(None, (phrase, say(f"characters.{mark}") if mark else "")))


def head_mark(trace: Trace, kind: str, layer: int, head: int) -> str:
    """ "muted" or "changed" where the run's edits name a head; "" where it works as the model does."""
    edits, place = trace.edits, (kind, trace.attentions[kind].layer_index[layer], head)
    factor = most_specific(edits.heads, *place)
    if factor == 0:
        return "muted"
    uniform = most_specific(dict.fromkeys(edits.uniform, True), *place)
    patched = most_specific(edits.patched, *place)
    return "changed" if factor not in (None, 1) or uniform or patched else ""
