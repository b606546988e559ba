"""Names of models in the language of the session, and the ids of typed ones."""

from __future__ import annotations

import pytest

from model.catalog.entries import CATALOG
from viz.frame import model_names
from viz.frame.bars.sentence_bar import model_label
from viz.frame.model_names import known_model, model_name, model_state
from viz.language.messages import languages, message_catalog, say, set_language


def test_a_model_named_by_words_is_named_in_the_language_of_the_session() -> None:
    set_language("de")
    assert model_name("en-fr") == "Englisch → Französisch"
    assert model_name("gpt2") == "GPT-2"
    assert model_name("rxnmapper") == "RXNMapper"
    assert model_name("someone/else") == "someone/else"
    assert model_name("someone/else-1.5B.gguf") == "someone/else-1.5B.gguf"
    set_language("en")
    assert model_name("en-fr") == CATALOG["en-fr"].name


@pytest.mark.parametrize("language", languages())
def test_each_name_is_of_a_model_of_the_catalog_and_is_known_when_typed(language: str) -> None:
    names = message_catalog(language)["model_name"]
    assert {*names} <= {*CATALOG}
    assert [known_model(f" {name.upper()} ") for name in names.values()] == [*names]


def test_a_model_is_known_by_its_id_and_its_english_name() -> None:
    assert known_model("Summarizer (one line)") == known_model("DESCRIBE") == "describe"
    assert known_model("bert") == "bert-base"
    assert known_model(" Someone/Else ") == "Someone/Else"


def test_a_model_is_known_by_a_word_of_its_name_or_its_beginning() -> None:
    assert known_model("French") == known_model("französisch") == "en-fr"  # and not OPUS-MT, which stands further down
    assert (known_model("dino"), known_model("GPT"), known_model("minilm")) == ("dinov2", "gpt2", "minilm")
    for other in ("rench", "fr", "nothing-here", "gpt2-xl", "bert-base-cased", "someone/gpt", "./dino", "gpt("):
        assert known_model(other) == other


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "486 MB, not for commercial use"),
        ("de", "486 MB, nicht kommerziell nutzbar"),
        ("fr", "486 Mo, pas d'usage commercial"),
        ("es", "486 MB, no para uso comercial"),
    ],
)
def test_what_has_to_be_fetched_is_named_with_its_size_and_its_licence(
    language: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_language(language)
    assert model_state("en-fr") == say("bar.here")
    monkeypatch.setattr(model_names, "local_folder", lambda name: None)
    assert model_state("timesformer") == said
    assert model_state("gpt2") == say("bar.fetch", size=548) + ", MIT"
    assert model_label("timesformer").endswith(said)  # in the list of models
    set_language("en")
