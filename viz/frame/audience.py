"""For everyone in the room: the language, and large type with keys for a projector."""

from __future__ import annotations

import json
from functools import partial

import streamlit as st

from viz.browser.resources import BROWSER
from viz.figures.theme import Palette
from viz.frame import session
from viz.language.messages import current_language, languages, say, set_language, supported_language


def enter() -> None:
    """Take language and projector mode from the link, or from what was chosen since; before anything is said."""
    state, link = st.session_state, st.query_params
    own = supported_language(st.context.locale)
    # Said again in each run: one that leaves for another page before the widget is drawn would lose it.
    arrived = supported_language(link["language"]) if link.get("language") in languages() else own
    state.language = state.get("language", arrived)
    if "projector" not in state:
        state.projector = link.get("projector", "").lower() in ("1", "true")
    set_language(state.language)
    state.said, state.whole = "", True
    # Written by hand: a bound parameter would hold the name that is shown instead of the code.
    if link.get("language", own) != state.language:
        link["language"] = state.language
    if state.projector and link.get("projector") != "1":
        link["projector"] = "1"
    elif not state.projector and "projector" in link:
        del link["projector"]


def choose() -> None:
    """The widgets for projector mode and language, for the bar at the top."""
    if st.session_state.projector:
        _keys()
    else:
        st.button(
            say("audience.projector"),
            key="projector_on",
            icon=":material/co_present:",
            shortcut="P",
            help=say("audience.projector_help"),
            on_click=_project,
            args=(True,),
            type="tertiary",
        )
    with st.popover(
        languages()[st.session_state.language], icon=":material/language:", key="languages", type="tertiary"
    ):
        st.radio(say("audience.language"), list(languages()), format_func=lambda one: languages()[one], key="language")


def _keys() -> None:
    """The buttons of projector mode, each with its key; those for layers and heads stand beside the large head."""
    st.html(BROWSER / "projector.css")
    for name, key, icon, act in (
        ("hide", "H", "hide_source", _hide),
        ("full", "F", "fullscreen", _full),
        ("leave", "P", "close_fullscreen", partial(_project, False)),
    ):
        st.button(
            say(f"audience.{name}"),
            key=f"projector_{name}",
            icon=f":material/{icon}:",
            shortcut=key,
            help=say(f"audience.{name}"),
            on_click=act,
            type="tertiary",
        )
    if st.session_state.pop("full_due", False):
        # The browser runs a script again only where it is another one, so it carries a number.
        script = "document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()"
        _run(f"/* {st.session_state.full} */ {script}", "full")


def colours() -> None:
    """The colours of the theme, and the words that the style sheet shows."""
    words = {"upload-heavy": json.dumps(say("errors.upload_heavy"), ensure_ascii=False)}  # said on hover else
    rules = "; ".join(f"--{name}: {value}" for name, value in (named_colours(session.palette()) | words).items())
    st.html(f"<style>:root {{ {rules} }}</style>")


def named_colours(theme: Palette) -> dict[str, str]:
    """The colours of a theme by their names in style sheets, where `style.css` has those of the two usual themes."""
    names = {"ink": theme.text, "paper": theme.page, "page": theme.page, "rule": theme.faint}
    return names | {"accent": theme.accent, "second": theme.second}


def announce(place: str = "page") -> None:
    """Tell the browser the page's language, and a screen reader the sentence that the page has said aloud.

    Args:
        place: of the two that may stand on one page, the page itself and a piece that is drawn again alone.
    """
    text = say("lessons.covered") if st.session_state.get("covered") else st.session_state.said
    said = json.dumps({"language": current_language(), "text": text}).replace("<", "\\u003c")
    _run(
        f"""(() => {{
          const said = {said};
          document.documentElement.lang = said.language;
          let region = document.getElementById("said");
          if (!region) {{
            region = document.createElement("div");
            region.id = "said";
            region.setAttribute("role", "status");
            document.body.append(region);
            // Long lines of code scroll, and a wide figure on a phone: a key must reach them.
            const wide = ".stCode pre:not([tabindex]), .st-key-lens:not([tabindex])";
            // A menu opens at the end of the page: who opened it by key goes straight into it.
            const menu = "[data-testid=stPopoverBody]:not([tabindex='-1'])";
            // Streamlit's list of pages on a phone has groups between the list and its items.
            const folded = "[data-testid=stSidebarNav] :is(ul, li):not([role])";
            let due = false;
            const reach = () => {{
              due = false;
              document.querySelectorAll(wide).forEach(e => e.tabIndex = 0);
              document.querySelectorAll(folded).forEach(e => e.setAttribute("role", "presentation"));
              document.querySelectorAll(menu).forEach(e => {{
                e.tabIndex = -1;
                if (document.activeElement.matches("[data-testid=stPopoverButton]:focus-visible")) e.focus();
              }});
            }};
            // Not at once: a figure that is drawn changes the page dozens of times.
            const soon = () => {{ if (!due) due = setTimeout(reach, 50) }};
            new MutationObserver(soon).observe(document.body, {{childList: true, subtree: true}});
            reach();
            // Figures come from the server, which is asked anew, by Streamlit's key, when the computer turns dark.
            const key = {{key: "r", code: "KeyR", keyCode: 82}};
            const press = what => document.dispatchEvent(new KeyboardEvent(what, key));
            const again = () => ["keydown", "keyup"].forEach(press);
            matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(again, 200));
          }}
          if (region.textContent !== said.text) region.textContent = said.text;
        }})()""",
        f"said_{place}",
    )


def _run(script: str, key: str) -> None:
    with st.container(key=f"script_{key}"):
        st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)


def _project(on: bool) -> None:
    st.session_state.projector = on


def _hide() -> None:
    st.session_state.hide = not st.session_state.get("hide", False)


def _full() -> None:
    st.session_state.full, st.session_state.full_due = st.session_state.get("full", 0) + 1, True
