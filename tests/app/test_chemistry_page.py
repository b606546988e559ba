"""The Chemistry page on a small random model of reactions: atoms, maps, and sentences for what is no reaction."""

from __future__ import annotations

import html as html_of
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import AlbertConfig, AlbertForMaskedLM, PreTrainedTokenizerFast

from model.catalog.entries import Entry
from model.structures import molecules
from model.structures.molecules import can_draw
from model.structures.reaction import bundled
from tests.app.driving import badge, choose, go_to, offering, opened, read_back, unsaved
from viz.frame.bars.top_bar import suits
from viz.language.messages import escape_markdown, say

AMIDE = next(one.smiles for one in bundled() if one.name == "amide")
SYMBOLS = r"(\[[^\]]+\]|Br|Cl|>>|%\d\d|.)"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppTest]:
    """The app with a random small ALBERT over symbols of SMILES, which the catalog has beside the others."""
    folder: Path = tmp_path_factory.mktemp("reactions")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        ">>",
        "Cl",
        "Br",
        "[O-]",
        "[K+]",
        *"BCFINOPScnos()=#-+.123456",
    ]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(SYMBOLS), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(5)
    config = AlbertConfig(
        vocab_size=len(words),
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
    )
    AlbertForMaskedLM(config).eval().save_pretrained(folder)
    entry = Entry("Reactions", "encoder", 1, "MIT", "tests", ("encoder", 1, 0), folder=folder, reads=("reaction",))
    with offering("reactions", entry, AMIDE, "chemistry") as app:
        yield app


def page_html(app: AppTest) -> str:
    return "".join(block.proto.body for block in app.get("html"))


def test_text_bars_and_map_are_there(app: AppTest) -> None:
    app = choose(app, "text", AMIDE)
    assert not app.exception
    assert 'class="read-text"' in page_html(app)
    assert {"reaction", "origins"} <= set(app.session_state["drawn"])
    assert "origins" in read_back(app)
    assert any(one.value.startswith("Of **14** atoms of the product") for one in app.markdown)
    assert any("each atom used once: 14 atoms" in one.value for one in app.markdown)
    assert any("each atom used once: 14 atoms" in one for one in app.session_state["drawn"]["reaction"].notes)
    assert any("looks at" in one for one in app.session_state["drawn"]["reaction"].notes)
    assert not unsaved(app)
    table = app.dataframe[0].value
    assert len(table) == 14
    assert set(table[say("chemistry.is_right")]) <= {"✓", "✗"}
    assert badge(app).startswith(":green[")


def test_molecules_are_drawn_where_the_library_is_here(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    app = choose(app, "text", AMIDE)
    if can_draw():
        drawing = json.loads(html_of.unescape(re.findall(r'data-drawing="([^"]*)"', page_html(app))[0]))
        assert sum(node[0] == "g" for node in drawing[2]) == 29
        assert sum(node[0] == "path" for node in drawing[2]) == 14
    monkeypatch.setattr(molecules, "find_spec", lambda name: None)
    app.run()
    assert not app.exception
    assert "data-drawing" not in page_html(app)
    assert say("chemistry.library") in [one.value for one in app.caption]


def test_an_unknown_reaction_has_a_map_without_verdict(app: AppTest) -> None:
    app = choose(app, "text", "CCO>>CC=O")
    assert not app.exception
    assert "origins" not in app.session_state["drawn"]
    assert not unsaved(app)
    assert say("chemistry.is_right") not in app.dataframe[0].value
    app.button(key="reaction_amide").click().run()
    assert app.text_area(key="text").value == AMIDE


@pytest.mark.parametrize(
    ("typed", "reason", "place", "letters"),
    [
        ("CCO", "arrow", 0, ""),
        ("CC(C>>CC", "branch", 3, "CC("),
        ("C1CC>>CC", "ring", 2, "C1"),
        ("CC[Xx]>>CC", "bracket", 3, "CC["),
        ("CC>>", "side", 0, ""),
        ("The cat>>sat", "letter", 1, "T"),
    ],
)
def test_what_is_no_reaction_gets_a_sentence_and_stays(
    app: AppTest, typed: str, reason: str, place: int, letters: str
) -> None:
    app = choose(app, "text", typed)
    assert not app.exception
    said = say(f"chemistry.error_{reason}", place=place, letters=escape_markdown(letters))
    assert [one.value for one in app.info] == [said]
    assert app.text_area(key="text").value == typed


def test_atom_numbers_are_to_be_left_out(app: AppTest) -> None:
    app = choose(app, "text", "[CH4:1]>>[CH4:1]")
    assert [one.value for one in app.info] == [say("chemistry.numbered")]


def test_a_model_of_language_gets_a_sentence() -> None:
    app = choose(choose(go_to(opened(), "chemistry"), "kind", "encoder"), "text", AMIDE)
    assert not app.exception
    assert [one.value for one in app.info] == [say("chemistry.pieces")]
    app = choose(app, "kind", "cross")
    assert [one.value for one in app.info] == [say("chemistry.one_text")]
    assert suits("chemistry", "rxnmapper")
    assert not suits("chemistry", "antiberty")
