"""Texts of the interface: complete and with the same placeholders in every language; escaping of text from users."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.catalog.entries import CATALOG
from tests.app.driving import APP, PAGES, forget_results, go_to, opened
from viz.figures.theme import escape
from viz.frame.bars.sentence_bar import examples, fitting_examples
from viz.language import messages
from viz.language.messages import (
    ENGLISH,
    MAX_LENGTH,
    abbreviated,
    escape_markdown,
    isolate_rtl,
    languages,
    message_catalog,
    say,
    set_language,
    strip_markdown,
    supported_language,
    whole_number,
)

# Captions that share a row with others -> letters that their line holds at 1280 pixels: the width measured in Chromium,
# by 6.3 pixels a letter. Numbers are filled in as long as they get.
CAPTION_ROOM = {
    ("positions.table_look", "positions.own"): 95,
    ("positions.halves_look", "positions.own"): 95,
    ("positions.not_own",): 95,
    ("positions.waves_look",): 57,
    ("positions.similarity_look",): 68,
    ("positions.circle_look",): 92,
    ("positions.rotated",): 105,
    ("changes.bits", "changes.map_look"): 36,
    ("code.weights_off",): 63,
    ("code.output_off",): 63,
    ("text.look", "text.cover_look"): 180,
    ("whole.caption",): 120,
    ("video.look", "video.marked"): 94,
    ("video.bars_look",): 54,
    ("positions.wavelengths_look",): 68,
    ("positions.rotary_waves_look",): 74,
    ("positions.match_look",): 70,  # and the letters of two tokens
    ("layers.activations_look", "layers.cut"): 97,
    ("layers.paths_without", "layers.paths_look"): 82,
}
OTHERS = [code for code in languages() if code != ENGLISH]
HEBREW, ARABIC = "שלום", "مرحبا"


def texts(language: str) -> dict[str, str]:
    return {
        f"{section}.{name}": words
        for section, part in message_catalog(language).items()
        for name, words in part.items()
    }


def filled_in(words: str) -> set[str]:
    """What is to be filled in: our placeholders and Plotly's, with their formats."""
    fields = {f"{{{field}}}" for _, field, _, _ in string.Formatter().parse(words) if field is not None}
    return fields | set(re.findall(r"%\{\{.*?\}\}", words))


def missing(language: str) -> list[str]:
    return sorted(texts(ENGLISH).keys() - texts(language).keys())


@pytest.fixture(autouse=True)
def english() -> object:
    yield
    set_language(ENGLISH)


@pytest.mark.parametrize("language", languages())
def test_captions_are_one_line(language: str) -> None:
    filled = lambda field: {"{error}": "1.2e-16", "{unit}": "", "{d_model}": "512"}.get(field[0], "12")  # noqa: E731
    lines = {
        keys: strip_markdown(re.sub(r"\{\w+\}", filled, " ".join(texts(language)[key] for key in keys)))
        for keys in CAPTION_ROOM
    }
    assert {keys: line for keys, line in lines.items() if len(line) > CAPTION_ROOM[keys]} == {}


# What has a word of the field: "uniform attention", "special token", "fixed offset", "position bias".
HOME_MADE = {
    "en": r"\b(even|such|strongest|of the|a) looks?\b(?! at)|\bmarks (such|that|and)\b|fixed step|of the pl|the wall",
    "de": r"\bBlicks?\b|\bMarken\b(?!.*Neuron)|festen? Schritt|Bias der Plätze|an der Wand",
    "fr": r"\bregards?\b|\bmarques\b(?!.*neurone)|pas fixe|biais des places|sur le mur",
    "es": r"\b(la|las|una|sin|su) miradas?\b|\bmarcas\b(?!.*neurona)|paso fijo|sesgo de los lugares|en la pared",
}


@pytest.mark.parametrize("language", languages())
def test_what_the_field_has_a_word_for_is_called_by_it(language: str) -> None:
    found = {key: one for key, one in texts(language).items() if re.search(HOME_MADE[language], one)}
    assert not found


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_missing(language: str) -> None:
    assert not missing(language), f"{language}.toml lacks: {', '.join(missing(language))}"


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_left_over(language: str) -> None:
    assert not texts(language).keys() - texts(ENGLISH).keys()


@pytest.mark.parametrize("language", list(languages()))
def test_texts_are_whole(language: str) -> None:
    for key, words in texts(language).items():
        assert words.strip(), key
        assert words.count("**") % 2 == 0, f"{key}: bold that does not end"
        bold = words.split("**")[1::2]
        assert all(part and part == part.strip() for part in bold), f"{key}: spaces inside bold"
        assert not re.search(r"(?<!%)%\{(?!\{)", words), f"{key}: Plotly's placeholders are written %{{{{x}}}}"
        assert not re.search(r"\d\s%(?![\w{])", words), f"{key}: a share is written 98%, as figures write it"
        assert words.count("`") % 2 == 0, key
        assert words.count("{") == words.count("}"), key


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_fills_in_the_same(language: str) -> None:
    english = texts(ENGLISH)
    for key, words in texts(language).items():
        assert filled_in(words) == filled_in(english[key]), key
        assert words.count("<br>") == english[key].count("<br>"), key


@pytest.mark.parametrize(("language", "number"), [("en", "1,024"), ("de", "1.024"), ("fr", "1\u00a0024")])
def test_thousands_are_set_apart_as_the_reader_knows_it(language: str, number: str) -> None:
    set_language(language)
    assert whole_number(1024) == number
    assert whole_number(512.4) == "512"


def test_a_missing_text_falls_back_to_english(monkeypatch: pytest.MonkeyPatch) -> None:
    set_language("fr")
    assert say("heads.title") == "Têtes"
    monkeypatch.delitem(message_catalog("fr")["heads"], "title")
    assert say("heads.title") == "Heads"
    monkeypatch.delitem(message_catalog("fr"), "masks")
    assert say("masks.title") == "Masks"
    with pytest.raises(KeyError):
        say("heads.no_such_text")


def test_an_unknown_language_is_english() -> None:
    set_language("xx")
    assert messages.current_language() == ENGLISH
    wished = (None, "fr-CA", "FR", "de_AT", "pt-BR", "")
    assert [supported_language(locale) for locale in wished] == ["en", "fr", "fr", "de", "en", "en"]


def test_examples_suit_what_a_model_was_made_for() -> None:
    offered = {name: {examples()[i]["why"] for i in fitting_examples(name)} for name in CATALOG}
    assert "red_car" in offered["en-fr"] & offered["opus-mt-en-fr"]
    assert offered["titler"] == {"board"}
    assert offered["codegen"] == {"volume", "stack"}
    assert offered["antiberty"] == offered["rxnmapper"] == set()  # their pages have examples of their own
    assert len(fitting_examples("../my-own")) == len(examples())


def test_catalogue_entries_and_examples_have_their_texts() -> None:
    for name, entry in CATALOG.items():
        assert say(f"good_for.{name}") == entry.good_for  # what the command line prints and the sidebar shows
    for example in examples():
        assert say(f"examples.{example['why']}")
        assert set(example["suits"]) <= {*CATALOG, *(entry.task for entry in CATALOG.values())}


@pytest.fixture(scope="module")
def spoken() -> dict[str, AppTest]:
    """The app in each language."""
    apps = {language: AppTest.from_file(str(APP), default_timeout=120) for language in OTHERS}
    for language, app in apps.items():
        app.query_params["language"] = language
    return apps


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", OTHERS)
def test_every_page_opens_in_every_language(spoken: dict[str, AppTest], language: str, page: str) -> None:
    set_language(language)  # the runner reads the app's widgets in this thread
    app = go_to(spoken[language], page)
    assert not app.exception
    assert app.title[0].value == say(f"{page}.title")
    assert app.text_area(key="text").label == say("sidebar.text")
    assert list(app.query_params["language"]) in ([language], list(language))


def test_the_language_can_be_changed_and_what_was_typed_stays() -> None:
    app = opened()
    assert app.title[0].value == "Heads"
    app.text_area(key="text").set_value("I see a tree.").run()
    app.radio(key="language").set_value("de").run()
    assert app.title[0].value == "Köpfe"
    assert app.text_area(key="text").value == "I see a tree."
    assert list(app.query_params["language"]) in (["de"], list("de"))
    titles = [chart.proto.spec for chart in app.get("plotly_chart")]
    assert any("Schicht" in title for title in titles)
    assert not any("attention weight" in title for title in titles)


def test_two_sessions_speak_their_own_language() -> None:
    first = AppTest.from_file(str(APP), default_timeout=120)
    first.query_params["language"] = "fr"
    second = AppTest.from_file(str(APP), default_timeout=120)
    for _ in range(2):
        set_language("fr")
        assert first.run().title[0].value == "Le modèle entier"
        set_language(ENGLISH)
        assert second.run().title[0].value == "The whole model"


@pytest.mark.parametrize("word", [HEBREW, ARABIC])
def test_right_to_left_words_do_not_turn_the_sentence(word: str) -> None:
    fenced = f"\u2068{word}\u2069"
    assert isolate_rtl(word) == fenced
    assert escape_markdown(word) == fenced
    assert escape(word) == fenced
    assert isolate_rtl("left") == escape_markdown("left") == escape("left") == "left"
    read = say("reading.row", layer=0, head=1, query=escape_markdown(word), keys=escape_markdown(f"{word} 1"))
    assert read.count("\u2068") == read.count("\u2069") == 2


def test_right_to_left_words_in_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_results()
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["model"] = "en-fr"
    app.run()
    app.text_area(key="text").set_value(f"I see {HEBREW} and {ARABIC}.").run()
    assert not app.exception
    for word in (HEBREW, ARABIC):
        assert word in app.text_area(key="text").value


def test_a_screen_reader_is_told_words_without_marks() -> None:
    said = f"In layer 0, **{escape_markdown('a-b.c*')}** looks at **{escape_markdown('x@y')}** 5%."
    assert strip_markdown(said) == "In layer 0, a-b.c* looks at x@y 5%."


def test_the_readme_tells_of_the_languages() -> None:
    readme = Path("README.md").read_text(encoding="utf-8")
    assert all(code in readme for code in ("i18n", "audience.py"))


def test_typed_text_is_never_markdown() -> None:
    assert escape_markdown(" Hello\n") == "Hello"
    assert "->" not in escape_markdown("a -> b")
    assert "//" not in escape_markdown("http://x.y").replace("\\", "")[:6]
    assert escape_markdown("**a** <b> :red[x] $y$") == r"\*\*a\*\* \<b\> \:red\[x\] \$y\$"


def test_a_long_text_is_repeated_by_its_first_and_last_words() -> None:
    assert abbreviated("The  cat saw\nthe cat.") == "The cat saw the cat."
    words = [f"w{i}" for i in range(400)]
    short = abbreviated(" ".join(words))
    assert len(short) <= MAX_LENGTH + 3
    first, last = short.split(" … ")
    assert " ".join(words).startswith(first + " ")
    assert " ".join(words).endswith(" " + last)
    assert abbreviated("M" * 1000) == f"{'M' * 200} … {'M' * 100}"  # a protein has no spaces
