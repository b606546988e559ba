"""The bar that stays on top of every page: model, sentence, examples, output and changes; all of it in the link."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import TypedDict

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.assets import ASSETS
from model.catalog.entries import CATALOG, Entry
from model.catalog.permission import in_catalog
from model.settings.settings import current
from viz.browser.resources import BROWSER
from viz.frame import lesson_guide, links, model_access, session
from viz.frame.limits import policy
from viz.frame.model_names import known_model, model_name, model_state
from viz.frame.option_row import option_row
from viz.language.messages import abbreviated, escape_markdown, has_message, say

PREVIEWS = {"sound": st.audio}  # kind of input -> what shows an example of it; of the others a picture does
LONGEST_LABEL = 120  # letters of an example on its button

# Enter runs the sentence; the text area of Streamlit itself waits for Ctrl+Enter.
_enter_runs = st.components.v2.component("headlight_enter", js=(BROWSER / "enter_runs.js").read_text(encoding="utf-8"))


class Example(TypedDict):
    """A text worth trying, the tasks or ids of models that it suits, and the name of the text that says why."""

    text: str
    suits: list[str]
    why: str


@cache
def examples() -> list[Example]:
    """The sentences of `assets/examples.toml`."""
    found: list[Example] = tomllib.loads((ASSETS / "examples.toml").read_text(encoding="utf-8"))["example"]
    return found


def draw() -> DeltaGenerator | None:
    """Room for the panel that changes the model, to be filled once the model is open.

    None while the panel is closed and nothing is changed. Leaves the container of the output in
    `st.session_state.output_line`, for the page that runs the sentence.
    """
    state = st.session_state
    # A page that connects again brings its text along, and what is set here would win over that.
    if "text" not in st.query_params:
        state.setdefault("text", examples()[0]["text"])
    with st.container(key="bar", gap=None):
        with st.container(horizontal=True, key="bar_row", gap="small", vertical_alignment="center"):
            _pick_model()
            entry = CATALOG.get(session.chosen_model())
            if model_access.input_kind() in session.SHOWN:
                _pick_picture()
            else:
                _type_text()
            second = st.container(key="pair_room", width="content")
            reading = _more(entry)
            state.input_rooms = second, reading  # filled once the model is open, which knows what may be chosen
            # In a session's first run the box below has not yet taken the text from the link.
            requested = model_access.parse_edits(state.get("edits", st.query_params.get("edits", "")), None, warn=False)
            count = len(list(requested.items()))
            label = f"{say('bar.change')}{say('language.colon')} **{count}**" if count else say("bar.change")
            with st.popover(label, icon=":material/tune:", key="changing", on_change="rerun") as panel:
                room = st.container()
                st.text_input(say("change.text"), key="edits", help=say("change.text_help"), bind="query-params")
        state.output_line = st.container(key="output")
    state.setdefault("text", examples()[0]["text"])  # models of pictures show no box for it
    _enter_runs(key="script_enter")
    return room if panel.open or state.edits else None


def model_label(name: str) -> str:
    """A model as people know it: plain name, what it does, and "here", or size and licence; a typed one as typed."""
    entry = CATALOG.get(name)
    if entry is None:
        return name
    task = say(f"task.{entry.task}")
    return f"{model_name(name)}{say('language.colon')} {task} · {model_state(name)}"


def _pick_model() -> None:
    state = st.session_state
    if "model" not in state and "model" in st.query_params:
        state.model = st.query_params["model"]
    if "model" in state:
        state.model = known_model(state.model) if state.model else next(iter(CATALOG))
    current = state.get("model") or next(iter(CATALOG))
    if state.get("shown_model", current) != current:  # another model opens at its own first head
        for key in ("kind", "layer", "head"):
            state.pop(key, None)
    state.shown_model = current
    st.html(BROWSER / "model_list.css")
    st.selectbox(
        say("sidebar.model"),
        [name for name in CATALOG if in_catalog(name)],
        key="model",
        format_func=model_label,
        accept_new_options=True,
        label_visibility="collapsed",
        width=300,
        persist_state="session",
    )
    links.store("model", session.chosen_model(), next(iter(CATALOG)))


def _type_text() -> None:
    with st.container(key="sentence"):
        st.text_area(
            say("sidebar.text"),
            key="text",
            placeholder=say("bar.placeholder"),
            height="content",
            bind="query-params",
            label_visibility="collapsed",
            disabled=lesson_guide.is_locked(),
        )


def _pick_picture() -> None:
    """The examples of an input that is no text."""
    state, shown = st.session_state, model_access.shown_examples()
    links.restore("picture", list(shown))
    state.picture = state.picture if state.get("picture") in shown else next(iter(shown))
    with st.container(key="sentence", horizontal=True, vertical_alignment="center"):
        st.pills(
            say("sidebar.picture"),
            list(shown),
            format_func=lambda name: say(f"pictures.{name}"),
            required=True,
            key="picture",
            persist_state="session",
            label_visibility="collapsed",
        )
    links.store("picture", state.picture, next(iter(shown)))


def _more(entry: Entry | None) -> DeltaGenerator:
    """Menus beside the box: examples or an own picture, a forced output, and facts of the model.

    Returns:
        Room for how the text is read.
    """
    reading = st.container(key="reading_room", width="content")
    if (kind := model_access.shown_kind()) in session.SHOWN:
        own = say(f"sidebar.upload_{kind}")
        with st.popover(own, icon=":material/upload:"):
            if current().uploads:
                upload_help = say(f"sidebar.upload_{kind}_help")
                st.file_uploader(own, key="upload", help=upload_help, max_upload_size=20)
            else:
                st.caption(f"{say('limits.uploads')} {say('limits.who')}")
            if st.session_state.get("upload") is None:
                chosen = st.session_state.picture
                st.caption(say(f"pictures.{chosen}_why"))
                PREVIEWS.get(kind, st.image)(model_access.shown_examples()[chosen])
    else:
        _offer_examples()
    if kind not in ("image", "video") and (entry is None or entry.family == "encoder-decoder"):
        with st.popover(say("bar.output"), icon=":material/output:", key="forcing"):
            _pick_target()
    with st.popover(
        say("bar.about_model"), icon=":material/info:", key="about_model", type="tertiary", on_change="rerun"
    ) as about:
        if about.open:
            _facts(entry)
    return reading


def fitting_examples(name: str) -> list[int]:
    """Numbers of the examples that suit a model; of one that the catalog does not know, all."""
    entry = CATALOG.get(name)
    return [i for i, one in enumerate(examples()) if entry is None or {entry.task, name} & set(one["suits"])]


def _offer_examples() -> None:
    """The menu of examples; none for a model that no example suits, whose own page has some."""
    if not (fitting := fitting_examples(session.chosen_model())):
        return
    with st.popover(say("bar.examples"), icon=":material/lightbulb:", key="examples", on_change="rerun") as menu:
        for i in fitting if menu.open else ():
            label = escape_markdown(abbreviated(examples()[i]["text"], LONGEST_LABEL))
            st.button(label, key=f"example_{i}", on_click=_take_example, args=(i,), width="stretch")
            st.caption(say(f"examples.{examples()[i]['why']}"))


def _facts(entry: Entry | None) -> None:
    """Licence, size and memory of the chosen model."""
    if entry:
        name = session.chosen_model()
        good_for = say(f"good_for.{name}") if has_message(f"good_for.{name}") else entry.good_for
        facts = {"name": model_name(name), "family": entry.family, "licence": entry.licence, "size": entry.size}
        st.markdown(say("sidebar.facts", good_for=good_for, **facts))
    needed = model_access.memory_needed(session.chosen_model())
    if needed:
        st.markdown(say("sidebar.memory", needed=needed))
    st.caption(policy.sentence() or say("sidebar.model_help"))


def _pick_target() -> None:
    if option_row(say("sidebar.translation"), [session.OWN, session.FORCED], session.OWN, "whose") == session.FORCED:
        st.text_input(say("sidebar.target"), key="target", help=say("sidebar.target_help"), bind="query-params")


def _take_example(number: int) -> None:
    session.type_text(examples()[number]["text"])
    st.session_state.whose = session.OWN
