"""The line under the sentence: the tokens of its run, what was noted about it, and the badge of its numbers."""

from __future__ import annotations

from html import escape

import streamlit as st

from model.trace.tokens import Tokens
from model.trace.trace import Trace
from viz.frame.bars import kind_notice
from viz.frame.shown_run import results
from viz.language.messages import abbreviated, escape_markdown, isolate_rtl, say, strip_markdown
from viz.widgets import badge

MANY_PIECES = 3  # of a word: with more, a model has hardly learned what the whole means


def draw(trace: Trace, before: str | None = None) -> None:
    """The tokens of a run in the bar, each of which shows its row in every figure of the page.

    Args:
        trace: the run that the page shows.
        before: the output without the changes, which stands beside this one's; by default that of the same input.
    """
    room = st.session_state.output_line
    with room.container(horizontal=True, vertical_alignment="center", key="output_row"):
        st.html(_line(trace, before or results.output_without_edits(trace)))
        if trace.notes:
            with st.popover(f":orange[:material/info: {len(trace.notes)}]", key="notes", type="tertiary"):
                for note, detail in trace.notes:
                    st.markdown(say(f"notes.{note}", detail=escape_markdown(detail)))
        with st.container(key="output_badge", width="content"):
            st.session_state.badge_room = st.empty()
    if trace.of_text:
        with room:
            kind_notice.draw(trace.text)
    text = {"text": escape_markdown(abbreviated(trace.text)), "output": escape_markdown(trace.output or "")}
    verb = "read" if trace.of_text else "saw" if trace.sound is None else "heard"
    st.session_state.said = strip_markdown(say(f"parts.{verb}_and_said" if trace.output else f"parts.{verb}", **text))


def draw_badge() -> None:
    """The badge of the run that the page shows, once all else is drawn: it runs the model a second time."""
    ran, room = st.session_state.ran, st.session_state.get("badge_room")
    if ran and room is not None:
        with room:
            badge.verification_badge(ran[0][-1], "page")


def _line(trace: Trace, before: str | None) -> str:
    """The line as HTML: tokens of the stack that asks, and what the model made of them."""
    stack = "decoder" if "decoder" in trace.tokens else "encoder"
    parts: list[str] = []
    if trace.picture is None and "cross" in trace.attentions:
        parts = ['<span class="then">→</span>', *_tokens(trace.tokens[stack], stack)]
    elif trace.picture is None:
        parts = _tokens(trace.tokens[stack], stack)
    if trace.output and "cross" not in trace.attentions:
        parts += ['<span class="then">→</span>', f"<strong>{escape(isolate_rtl(trace.output))}</strong>"]
    parts += [f'<span class="before">{escape(isolate_rtl(sentence))}</span>' for sentence in _guessed(trace)]
    if before is not None and before == trace.output:
        parts.append(f'<span class="before">{escape(say("bar.same"))}</span>')
    elif before is not None:
        was = f"<s>{escape(isolate_rtl(before))}</s>"
        parts.append(f'<span class="before">{escape(say("bar.before") + say("language.colon"))} {was}</span>')
    return f'<div class="tokens">{"".join(parts)}</div>'


def _guessed(trace: Trace) -> list[str]:
    """A line each on words of a translated text that the model hardly knows: unknown ones, and ones cut small."""
    if "cross" not in trace.attentions or trace.logits is None or not trace.of_text:
        return []
    words = {"guessed": dict(trace.notes).get("unknown", "")}
    words["pieces"] = ", ".join(trace.tokens["encoder"].words_in_pieces(MANY_PIECES))
    return [say(f"notes.{note}", detail=abbreviated(found)) for note, found in words.items() if found]


def _tokens(tokens: Tokens, stack: str) -> list[str]:
    return [
        f'<span class="token{" special" if special else ""}" tabindex="0" role="button" data-stack="{stack}" '
        f'data-place="{place}">{escape(isolate_rtl(text))}</span>'
        for place, (text, special) in enumerate(zip(tokens.texts, tokens.special, strict=True))
    ]
