"""A model that hears on every page: example sounds stand where the sentence does, and its tokens are moments."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from model.catalog.entries import Entry
from tests.app import driving
from tests.model.huggingface.test_sound import build, many_languages
from viz.language.messages import escape_markdown, say

LAST = "2.00–3.00 s"  # the silence behind four tones, for a model that reads three seconds


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppTest]:
    """The app with a random small model of speech, which the catalog has beside the others."""
    folder = tmp_path_factory.mktemp("hears")
    build("whisper", folder)
    many_languages(folder)
    entry = Entry("Hears", "encoder-decoder", 1, "MIT", "tests", ("cross", 1, 0), folder=folder, takes="sound")
    with driving.offering("hears", entry, None, "heads") as app:
        yield app


def test_the_bar_offers_sounds_and_a_forced_output(app: AppTest) -> None:
    assert not app.exception
    pills = next(one for one in app.get("button_group") if one.key == "picture")
    assert pills.options == ["Four tones"]
    trace = app.session_state["ran"][0][-1]
    assert trace.text.endswith("four_tones.wav")
    assert trace.tokens["decoder"].texts[trace.prompt_length] in driving.output_line(app)
    notes = "\n".join(one.value for one in app.markdown)
    assert say("notes.sound_filled", detail=escape_markdown("2.0/3")) in notes
    forced = driving.choose(driving.choose(app, "whose", "forced"), "target", "le chat")
    assert forced.session_state["ran"][0][-1].output == "le chat"
    driving.choose(forced, "whose", "own")


def test_language_and_task_are_chosen_where_the_model_has_some(app: AppTest) -> None:
    def fed() -> tuple[int, ...]:
        return tuple(app.session_state["ran"][0][-1].ids["decoder"][1:4])

    def menu() -> str:
        return next(one.proto.popover.label for one in app.get("popover") if "input" in one.proto.popover.icon)

    heard = fed()
    assert heard[0] in (6, 7)
    assert heard[1:] != (9, 10)
    assert menu() == f"{say('input.heard_language')}, {say('input.task_transcribe')}"
    driving.choose(driving.choose(app, "source_language", "fr"), "speech_task", "translate")
    assert not app.exception
    assert fed() == (7, 9, 10)
    assert menu() == f"French, {say('input.task_translate')}"
    assert (app.query_params["source_language"], app.query_params["speech_task"]) == ("fr", "translate")
    assert driving.badge(app).startswith(":green[")
    driving.choose(driving.choose(app, "source_language", None), "speech_task", "transcribe")
    assert fed() == heard


@pytest.mark.parametrize("kind", ["cross", "encoder"])
def test_heads_shows_moments_and_the_silence_as_one_column(app: AppTest, kind: str) -> None:
    app = driving.choose(driving.go_to(app, "heads"), "kind", kind)
    assert not app.exception
    figure = app.session_state["drawn"]["heatmap"].figure
    assert figure.layout.meta["shows"]["keys"] == list(range(101))
    names = list(figure.layout.xaxis2.ticktext)
    assert names[0].startswith("0.00 s")
    assert names[-1].endswith(LAST)
    assert driving.badge(app).startswith(":green[")


@pytest.mark.parametrize("page", [page for page in driving.PAGES if page != "text"])
def test_every_page_shows_a_sound_under_a_green_badge(app: AppTest, page: str) -> None:
    app = driving.go_to(app, page)
    assert not app.exception
    assert driving.titles(app)
    assert driving.badge(app).startswith(":green[")


def test_layers_leaves_the_silence_out(app: AppTest) -> None:
    app = driving.choose(driving.go_to(app, "layers"), "stack", "encoder")
    assert not app.exception
    assert len(app.session_state["drawn"]["norms"].figure.data[0].z) == 100
    assert driving.badge(app).startswith(":green[")


def test_pages_of_other_inputs_say_why_not(app: AppTest) -> None:
    app = driving.go_to(app, "text")
    assert [one.value for one in app.info] == [say("sounds.no_text")]
    app = driving.go_to(app, "video")
    assert [one.value for one in app.info] == [say("sounds.no_picture")]
    app = driving.go_to(app, "masks")
    assert say("sounds.no_padding") in [one.value for one in app.info]


def test_what_is_no_sound_gets_a_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    app = driving.go_to(app, "heads")
    app.file_uploader[0].upload("letter.wav", b"This is a letter.", "audio/wav").run()
    assert [one.value for one in app.warning] == [say("errors.sound_none")]
