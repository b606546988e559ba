"""The Proteins page on a small random model of proteins: residues, contacts, and sentences for what is no protein."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest
from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

from model.catalog.entries import CATALOG, Entry
from model.structures.protein import bundled
from tests.app.driving import badge, choose, go_to, offering, opened, read_back, texts, unsaved
from viz.frame.bars.top_bar import suits
from viz.language.messages import escape_markdown, say

CHAIN = next(chain for chain in bundled() if len(chain.sequence) < 100)
LETTERS = "LAGVSERTIDPKQNFYMHWC"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppTest]:
    """The app with a random small ESM, which the catalog has beside the others."""
    folder: Path = tmp_path_factory.mktemp("proteins")
    vocabulary = ["<cls>", "<pad>", "<eos>", "<unk>", *LETTERS, "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(4)
    config = EsmConfig(
        vocab_size=len(vocabulary),
        pad_token_id=1,
        mask_token_id=len(vocabulary) - 1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=120,
        position_embedding_type="rotary",
    )
    EsmForMaskedLM(config).eval().save_pretrained(folder)
    entry = Entry("Proteins", "encoder", 1, "MIT", "tests", ("encoder", 1, 0), folder=folder, reads=("protein",))
    with offering("proteins", entry, CHAIN.sequence, "protein") as app:
        yield app


def page_html(app: AppTest) -> str:
    return "".join(block.proto.body for block in app.get("html"))


def test_residues_are_numbered_and_marked_and_contacts_compared(app: AppTest) -> None:
    app = choose(app, "text", CHAIN.sequence)
    assert not app.exception
    html = page_html(app).split('class="tinted residues"')[1]
    assert re.findall(r'data-number="(\d+)"', html) == ["1", "11", "21", "31", "41", "51", "61"]
    assert re.findall(r'data-place="(\d+)"[^>]*>(\w)<', html) == [
        (str(i + 1), letter) for i, letter in enumerate(CHAIN.sequence)
    ]
    assert html.count(" helix") == CHAIN.forms.count("H")
    assert html.count(say("protein.joined", number=68)) == 1
    saved = app.session_state["drawn"]["residues"].figure  # has the numbers and the marks, too
    assert {"1", "61"} <= set(saved.data[1].text)
    assert {"helix", "joined"} <= {one.name for one in saved.data}
    assert app.session_state["row_encoder"] == 68  # a joined cysteine is shown first
    assert {"residues", "contacts", "precision"} <= set(app.session_state["drawn"])
    assert {"contacts", "precision"} <= read_back(app)
    assert any(one.value.startswith("Of its **70** strongest pairs") for one in app.markdown)
    assert any(one.value.startswith("Hide C") for one in app.markdown)
    assert not unsaved(app)
    assert badge(app).startswith(":green[")


def test_the_contact_head_of_the_model_can_be_shown(app: AppTest) -> None:
    """Its numbers are those of the library, which computes them from its own attention."""
    app = choose(choose(app, "text", CHAIN.sequence), "contact_map", "own_head")
    assert not app.exception
    assert any(one.value.startswith("The model's own contact head") for one in app.markdown)
    z = np.asarray(app.session_state["drawn"]["contacts"].figure.data[0].z)
    folder = CATALOG["proteins"].folder
    library = EsmForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    ids = EsmTokenizer.from_pretrained(folder)(CHAIN.sequence, return_tensors="pt")
    with torch.no_grad():
        expected = library.predict_contacts(ids["input_ids"], ids["attention_mask"])[0].numpy()
    upper = np.triu_indices(len(z), 1)
    np.testing.assert_allclose(z[upper], expected[upper], atol=2e-5)
    choose(app, "contact_map", "one_head")


def test_an_unknown_protein_has_no_contacts_to_compare(app: AppTest) -> None:
    app = choose(app, "text", "ACDEFGHIKLMNPQ")
    assert not app.exception
    assert set(app.session_state["drawn"]) == {"residues", "contacts"}
    assert len(app.session_state["drawn"]["contacts"].figure.data) == 1


def test_a_known_structure_is_one_click_away(app: AppTest) -> None:
    app = choose(app, "text", "ACDEFGHIKLMNPQ")
    app.button(key="chain_0").click().run()
    assert app.text_area(key="text").value == bundled()[0].sequence


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("EVQJLVESGG", say("protein.wrong", place=4, letter="J")),
        ("EVQXLVESGG", say("protein.unknown")),
        ("EVQ1LVESGG", say("protein.wrong", place=4, letter="1")),
        ("EVQ", say("protein.short", count=8)),
        (f">sp|P1|\n{CHAIN.sequence}", say("protein.header")),
        ("The cat sat!", say("protein.wrong", place=10, letter=escape_markdown("!"))),
    ],
)
def test_what_is_no_protein_gets_a_sentence_and_stays(app: AppTest, typed: str, said: str) -> None:
    app = choose(app, "text", typed)
    assert not app.exception
    assert [one.value for one in app.info] == [said]
    assert app.text_area(key="text").value == typed


def test_a_protein_that_is_missing_or_too_long_is_no_sentence_of_words(app: AppTest) -> None:
    app = choose(app, "text", "")
    assert [one.value for one in app.warning] == [say("errors.text_empty_protein")]
    app = choose(app, "text", "The cat sat on the mat. " * 30)
    assert app.warning[0].value == say("errors.text_too_long", tokens=212, allowed=120)
    assert say("kind.notice", kind=say("kind.language"), reads=say("kind.protein")) in texts(app)
    assert app.button(key="kind_open").label.startswith("Open it in English")
    app = choose(app, "text", CHAIN.sequence)
    assert not app.warning


def test_a_structure_of_another_protein_is_said(app: AppTest) -> None:
    pytest.importorskip("Bio", reason="biopython is not installed: see requirements-apps.txt")
    chain = choose(app, "text", CHAIN.sequence)
    lines = [
        f"ATOM  {4 * i + n + 1:5d}  {atom:<3} GLY B{i + 1:4d}    {3.8 * i + n:8.3f}{n:8.3f}{i:8.3f}  1.00  0.00"
        for i in range(9)
        for n, atom in enumerate(("N", "CA", "C", "O"))
    ]
    upload = next(one for one in chain.file_uploader if one.label == say("protein.upload"))
    upload.upload("other.pdb", "\n".join(lines).encode(), "chemical/x-pdb")
    app.run()
    assert not app.exception
    assert say("protein.structure_other", chains="B") in [one.value for one in app.container(key="output").info]
    without_atoms = b"data_X\n_entry.id X\n#\n"
    for content, reason in (
        (b"", "empty"),
        (b"no structure", "empty"),
        (without_atoms, "empty"),
        (b"data_X\nloop_\n_atom_site.id", "broken"),
    ):
        app.file_uploader[0].upload("bad.pdb", content, "chemical/x-pdb").run()
        assert not app.exception
        assert say(f"protein.structure_{reason}") in [one.value for one in app.container(key="output").warning]
        assert app.text_area(key="text").value == CHAIN.sequence
    app.session_state["structure"] = None


def test_a_model_of_language_gets_a_sentence() -> None:
    app = choose(go_to(opened(), "protein"), "kind", "encoder")
    app = choose(app, "text", CHAIN.sequence)
    assert not app.exception
    assert [one.value for one in app.info] == [say("protein.pieces")]
    app = choose(app, "kind", "cross")
    assert [one.value for one in app.info] == [say("protein.one_text")]
    assert texts(app) is not None
    assert suits("protein", "antiberty")
    assert not suits("protein", "en-fr")
