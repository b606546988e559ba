"""How the typed text is read, through Streamlit's `AppTest`: pairs, chat turns, marks, languages, and their link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from model.catalog.entries import CATALOG, Entry
from tests.app.driving import APP, choose, go_to, output_line, titles
from tests.model.huggingface.test_families import GROUPED, SMALL
from tests.model.huggingface.test_layer_kinds import opened as made
from tests.model.tokenization.test_languages import opened as multilingual
from viz.frame import server_state
from viz.sections.heads.head_finder import head_mark


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Offers a folder as the model "made"."""

    def offer(folder: Path, family: str, kind: str) -> None:
        monkeypatch.setitem(CATALOG, "made", Entry("made", family, 0, "", "", (kind, 0, 0), folder=folder))

    return offer


def opened_with(**parameters: str) -> AppTest:
    """The app at a link to the model "made"."""
    server_state.drop_all()
    app = AppTest.from_file(str(APP), default_timeout=120)
    for name, value in ({"model": "made"} | parameters).items():
        app.query_params[name] = value
    return go_to(app, "heads")


def fed(app: AppTest) -> list[str]:
    """The tokens of the line under the sentence."""
    return output_line(app).split()


def repeats(app: AppTest) -> None:
    """The badge's lines of Python make the run of the page again, token by token."""
    app.session_state["badge_page"] = True  # open
    app.run()
    (code,) = (one.value for one in app.code if "trace.verify" in one.value)
    made_again: dict[str, Any] = {}
    exec(code, made_again)
    shown = app.session_state["ran"][0][-1]
    assert made_again["trace"].ids == shown.ids
    assert made_again["trace"].output == shown.output


def test_a_second_sentence_is_typed_beside_the_first_and_kept_in_the_link(tmp_path: Path, offered: Any) -> None:
    made(tmp_path, "BertForSequenceClassification", "BertConfig", SMALL)
    offered(tmp_path, "encoder", "encoder")
    app = opened_with(text="the cat sat")
    assert not app.exception
    assert [one.key for one in app.text_input if one.key == "pair"] == []  # this tokenizer adds nothing between two
    folder = tmp_path / "pairs"
    lens = made(folder, "BertForSequenceClassification", "BertConfig", SMALL)
    from tokenizers import processors

    lens.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B:1 </s>:1", special_tokens=[("</s>", 2)]
    )
    lens.tokenizer.save_pretrained(folder)
    offered(folder, "encoder", "encoder")
    app = opened_with(text="the cat sat")
    alone = fed(app)
    app.text_input(key="pair").set_value("the mat").run()
    assert not app.exception
    assert fed(app)[: len(alone)] == alone
    assert fed(app)[-3:] == ["the", "mat", "</s>"]
    assert app.query_params["pair"] == "the mat"
    repeats(app)
    go_to(app, "masks")
    assert fed(app)[-3:] == ["the", "mat", "</s>"]
    shared = opened_with(text="the cat sat", pair="the mat")
    assert fed(shared)[-3:] == ["the", "mat", "</s>"]


def test_marks_are_offered_only_where_one_is_typed(tmp_path: Path, offered: Any) -> None:
    made(tmp_path, "BertForMaskedLM", "BertConfig", SMALL)
    offered(tmp_path, "encoder", "encoder")
    app = opened_with(text="the cat sat")
    assert not any(one.key == "marks" for one in app.get("button_group"))
    app.text_area(key="text").set_value("the <mask> sat").run()
    assert "<mask>" in fed(app)
    choose(app, "marks", "spelled")
    assert not app.exception
    assert "<mask>" not in fed(app)
    assert app.query_params["marks"] == "spelled"
    repeats(app)


def test_a_chat_turn_is_a_switch(tmp_path: Path, offered: Any) -> None:
    lens = made(tmp_path, "LlamaForCausalLM", "LlamaConfig", GROUPED)
    offered(tmp_path, "decoder", "decoder")
    assert not any(one.key == "chat" for one in opened_with(text="a cat").toggle)
    lens.tokenizer.chat_template = "<s> the {{ messages[0]['content'] }} </s>"
    lens.tokenizer.save_pretrained(tmp_path)
    app = opened_with(text="a cat")
    app.toggle(key="chat").set_value(True).run()
    assert not app.exception
    assert fed(app)[:3] == ["<s>", "the", "a"]
    repeats(app)
    for page in ("output", "changes", "compare"):
        go_to(app, page)
        assert not app.exception
        assert fed(app)[:3] == ["<s>", "the", "a"], page
    assert fed(opened_with(text="a cat", chat="True"))[:3] == ["<s>", "the", "a"]


def test_languages_are_chosen_where_the_model_has_some(tmp_path: Path, offered: Any) -> None:
    multilingual("MBart50", "MBartForConditionalGeneration", "MBartConfig", tmp_path)
    offered(tmp_path, "encoder-decoder", "encoder")
    app = opened_with(text="the cat")
    choose(app, "target_language", "fr_XX")
    assert not app.exception
    assert fed(app)[2] == "fr_XX"  # behind the arrow and the decoder's start
    choose(app, "source_language", "de_DE")
    assert (app.query_params["target_language"], app.query_params["source_language"]) == ("fr_XX", "de_DE")
    labels = [block.proto.popover.label for block in app.get("popover")]
    assert "German → French" in labels
    repeats(app)
    assert fed(opened_with(text="the cat", target_language="fr_XX"))[2] == "fr_XX"


def test_words_that_the_model_hardly_knows_are_named_beside_the_output() -> None:
    app = opened_with(model="en-fr", text="The Xyzzqwortblatt stopped.")
    assert "is a guess" in output_line(app)
    app.text_area(key="text").set_value("The red car stopped.").run()
    assert "is a guess" not in output_line(app)


def test_a_hybrid_names_its_layers_by_their_place_in_the_model(tmp_path: Path, offered: Any) -> None:
    sizes = {**GROUPED, "num_hidden_layers": 4, "layer_types": ["conv", "conv", "full_attention", "conv"]}
    made(tmp_path, "Lfm2ForCausalLM", "Lfm2Config", sizes)
    offered(tmp_path, "decoder", "decoder")
    app = opened_with(text="the cat sat on the mat")
    assert not app.exception
    assert any(one.value.startswith("Layer 2, head 0") for one in app.header)
    assert any("layer 2, head 0" in title for title in titles(app))
    ticks = app.session_state["drawn"]["mosaic"].figure.layout
    assert "2" in (ticks.yaxis.ticktext or ()) or "2" in (ticks.xaxis.ticktext or ())


def test_changes_and_links_of_a_hybrid_name_the_layer_as_headings_do(tmp_path: Path, offered: Any) -> None:
    kinds = ["conv", "full_attention", "conv", "full_attention"]
    made(tmp_path, "Lfm2ForCausalLM", "Lfm2Config", {**GROUPED, "num_hidden_layers": 4, "layer_types": kinds})
    offered(tmp_path, "decoder", "decoder")
    app = opened_with(text="the cat sat on the mat", layer="3", edits="heads:decoder.3.0=0.0")
    assert not app.exception
    assert not app.warning
    assert app.session_state["layer"] == 1  # the second of those that have attention
    assert any(one.value.startswith("Layer 3, head 0") for one in app.header)
    assert list(app.session_state["ran"][0][-1].edits.heads) == [("decoder", 3, 0)]
    assert head_mark(app.session_state["ran"][0][-1], "decoder", 1, 0) == "muted"
    assert not head_mark(app.session_state["ran"][0][-1], "decoder", 0, 0)
    go_to(app, "changes")
    app.button(key="silence").click().run()
    assert app.session_state["edits"] == ""
    app.button(key="silence").click().run()
    assert app.session_state["edits"] == "heads:decoder.3.0=0.0"
    assert app.query_params["layer"] == "3"


def test_positions_of_either_stack(tmp_path: Path, offered: Any) -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    made(tmp_path, "T5ForConditionalGeneration", "T5Config", sizes)
    offered(tmp_path, "encoder-decoder", "encoder")
    app = opened_with(text="the cat sat")
    go_to(app, "positions")
    for stack, most in (("encoder", 32), ("decoder", 0)):
        choose(app, "pe_stack", stack)
        assert not app.exception
        assert max(app.session_state["drawn"]["pe_bias"].figure.data[0].x) == most
