"""The from-scratch decoder as an opened model: `model.load` of a folder, traces, continuation, verification."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

import model
from model.errors import InputError, ModelError
from model.trace.check import Probe
from model.trace.decoding import Decoding
from model.training.data.text import save
from model.training.python_source import train_code_tokenizer
from model.translator.decoder_only import DecoderOnly
from model.translator.labels import predicted_label
from model.translator.language_model import NEW_TOKENS, LanguageModel
from model.translator.transformer import Config
from model.verification.references.decoder_reference import run_reference

CODE = "import os\n\n\ndef area(width, height):\n    size = width * height\n    return size\n"
PROMPT = "def area(width):\n    return "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random small model, saved as a recipe saves it."""
    torch.manual_seed(3)
    tokenizer = train_code_tokenizer([CODE] * 3, 300)
    config = Config(tokenizer.get_vocab_size(), d_model=16, num_heads=4, encoder_layers=0, decoder_layers=3, d_ff=32,
                    max_tokens=64)  # fmt: skip
    place = tmp_path_factory.mktemp("decoder")
    save(DecoderOnly(config), tokenizer, place)
    return place


@pytest.fixture(scope="module")
def decoder(folder: Path) -> LanguageModel:
    opened = model.load(str(folder), device="cpu")
    assert isinstance(opened, LanguageModel)
    return opened


def test_a_trace_has_the_decoder_alone(decoder: LanguageModel) -> None:
    trace = decoder.trace(PROMPT)
    count = len(trace.tokens["decoder"])
    assert list(trace.attentions) == ["decoder"] == list(trace.hidden_states)
    assert decoder.heads == {"decoder": (3, 4)}
    attention = trace.attentions["decoder"]
    for layer in range(3):
        weights = attention.weights(layer)
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
        assert np.triu(weights, 1).max() == 0
    assert trace.hidden_states["decoder"].shape == (4, count, 16)
    assert trace.neurons["decoder"].shape == (3, count, 32)
    assert trace.prompt_length == count
    assert trace.logits is not None
    with torch.no_grad():
        logits = decoder.module(torch.tensor([trace.ids["decoder"]]))[0]
    np.testing.assert_allclose(trace.logits, logits, atol=1e-5)


def test_labels_show_line_ends_and_the_mark_at_the_start(decoder: LanguageModel) -> None:
    tokens = decoder.trace("a\nwidth").tokens["decoder"]
    assert tokens.texts[0] == "<s>"
    assert tokens.special[0]
    assert "⏎" in tokens.texts
    assert "".join(decoder.tokenizer.decode([i]) for i in decoder.trace("a\nwidth").ids["decoder"][1:]) == "a\nwidth"
    assert not any("Ġ" in text or "Ċ" in text for text in decoder.trace(PROMPT).tokens["decoder"].texts)


def test_the_continuation_is_the_likeliest_token_again_and_again(decoder: LanguageModel) -> None:
    ids = decoder.trace(PROMPT, "").ids["decoder"]
    made = list(ids)
    config = decoder.config
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            logits = decoder.module(torch.tensor([made]))[0, -1]
        logits[[config.pad, config.bos, config.unk]] = -torch.inf
        made.append(int(logits.argmax()))
        if made[-1] == config.eos:
            made.pop()
            break
    assert decoder.trace(PROMPT).output == decoder.tokenizer.decode(made[len(ids) :])
    beams = decoder.decode(PROMPT, Decoding(method="beam", max_new_tokens=4))
    assert len(beams.ids) <= 4


def test_a_forced_continuation_is_read_with_the_prompt(decoder: LanguageModel) -> None:
    trace = decoder.trace(PROMPT, "size")
    assert trace.output == "size"
    assert trace.prompt_length < len(trace.tokens["decoder"])
    assert decoder.trace(PROMPT, "").output is None


def test_verification_holds_with_and_without_edits_and_can_fail(decoder: LanguageModel) -> None:
    edits = model.Edits(
        heads={("decoder", 1, 2): 0.0, ("decoder", 0, 1): 3.0}, temperature={"decoder": 2.0},
        blocked={("decoder", 3, 1)}, uniform={("decoder", 2, 3)}, positions="shuffled",
    )  # fmt: skip
    for changes in (None, edits):
        check = decoder.trace(PROMPT, edits=changes).verify()
        assert check.ok, check
        assert 0 < check.max_logit_error < 1e-4
    trace = decoder.trace(PROMPT)
    weight = decoder.module.decoder[1].self_attention.w_k.weight.data
    before = weight.clone()
    try:
        weight *= 1.05
        assert not trace.verify().ok
    finally:
        weight.copy_(before)


def test_the_check_names_each_part_that_is_wrong(decoder: LanguageModel) -> None:
    trace = decoder.trace(PROMPT)
    parts = {part.name for part in trace.verify().parts}
    assert {"queries", "keys", "values", "scores", "states", "neurons", "logits", "labels", "words"} <= parts

    def wrong(**fields: Any) -> list[str]:
        return [part.name for part in replace(trace, **fields).verify().wrong_parts]

    assert wrong(neurons={"decoder": trace.neurons["decoder"][::-1]}) == ["neurons"]
    assert wrong(hidden_states={"decoder": trace.hidden_states["decoder"][::-1]}) == ["states"]
    assert wrong(output=f"{trace.output}x") == ["words"]
    assert wrong(predicted=tuple(trace.predicted or ())[::-1]) == ["words"]
    tokens = trace.tokens["decoder"]
    assert "labels" in wrong(tokens={"decoder": replace(tokens, texts=tokens.texts[::-1])})
    positions = decoder.module.positions.clone()
    try:
        decoder.module.positions.copy_(positions.roll(1, 0))
        assert not decoder.trace(PROMPT).verify().ok  # its own table is not what the reference adds
    finally:
        decoder.module.positions.copy_(positions)


def test_probes_are_compared_with_runs_of_the_reference(decoder: LanguageModel) -> None:
    trace = decoder.trace(PROMPT, "")
    found, (effects, in_bits) = decoder.logit_lens(PROMPT, ""), decoder.head_effects(PROMPT, "")
    assert found is not None
    check = trace.verify_probe(Probe(lens=found, effects=effects, in_bits=in_bits, neurons=dict(trace.neurons)))
    assert check.verdict == "proved"
    assert {part.name for part in check.parts} == {"lens", "effects", "neurons"}
    for broken in (
        Probe(lens=(found[0][::-1], found[1][::-1])),
        Probe(effects={"decoder": effects["decoder"] * 1.1}, in_bits=in_bits),
        Probe(neurons={"decoder": trace.neurons["decoder"][:, ::-1]}),
    ):
        assert [part.name for part in trace.verify_probe(broken).wrong_parts] == list(broken.names)


def test_the_reference_shares_nothing_with_the_formula(decoder: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.tensor([decoder.trace(PROMPT).ids["decoder"]])
    expected = run_reference(decoder.module, ids).logits
    monkeypatch.setattr("model.translator.transformer.attention", None)
    with pytest.raises(TypeError):
        decoder.module(ids)
    torch.testing.assert_close(run_reference(decoder.module, ids).logits, expected)


def test_a_padded_batch_equals_each_text_alone(decoder: LanguageModel) -> None:
    short, long = decoder.trace_batch(["size", PROMPT], [None, None])
    alone = decoder.trace("size")
    assert short.output == alone.output
    count = len(alone.tokens["decoder"])
    assert short.tokens["decoder"].texts[count:] == ("<pad>",) * (len(long.tokens["decoder"]) - count)
    for layer in range(3):
        padded = short.attentions["decoder"].weights(layer)[:, :count, :count]
        np.testing.assert_allclose(padded, alone.attentions["decoder"].weights(layer), atol=1e-6)
    assert short.verify().ok


def test_probes_have_their_shapes(decoder: LanguageModel) -> None:
    effects, are_words = decoder.head_effects(PROMPT)
    assert are_words
    assert effects["decoder"].shape == (3, 4)
    assert effects["decoder"].min() > 0
    lens = decoder.logit_lens(PROMPT)
    assert lens is not None
    trace = decoder.trace(PROMPT)
    assert trace.logits is not None
    assert lens[0][-1].tolist() == trace.logits.argmax(-1).tolist()
    layer = trace.multi_head("decoder", 1)
    assert hasattr(layer, "inputs"), layer
    blocks = trace.blocks("decoder")
    assert len(blocks.layers) == 3
    assert blocks.error < 1e-4
    credit = trace.credit(3, 20)
    assert credit.logit == pytest.approx(trace.logits[3, 20], abs=1e-4)


def test_what_cannot_be_read_is_said(decoder: LanguageModel) -> None:
    for text, reason in (("", "text_empty"), ("x = 1\n" * 60, "text_too_long")):
        with pytest.raises(InputError) as caught:
            decoder.trace(text)
        assert caught.value.reason == reason
    count = len(decoder.trace("a").tokens["decoder"])
    ids = [7] * (decoder.max_tokens - count)
    full = decoder.trace("a", ids)  # as long as the model reads
    assert full.verify().ok
    assert full.output == decoder.tokenizer.decode(ids)
    with pytest.raises(InputError):
        decoder.trace("a", [*ids, 7])


def test_a_damaged_configuration_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = (folder / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"encoder_layers": 0', '"encoder_layers": -1'))
    with pytest.raises(ModelError, match="encoder_layers"):
        model.load(str(tmp_path), device="cpu")


def test_a_tokenizer_of_words_keeps_its_labels(lens: object) -> None:
    from model.translator.labels import label_tokens
    from model.translator.translator import Translator

    assert isinstance(lens, Translator)
    assert isinstance(lens.tokenizer, Tokenizer)
    ids = torch.tensor(lens.tokenizer.encode("The cat").ids)
    assert label_tokens(lens.tokenizer, lens.config, ids).texts == ("The", "cat")


def test_a_part_of_a_character_reads_alone_where_it_is_predicted(decoder: LanguageModel) -> None:
    trace = decoder.trace(PROMPT)
    first, second = (decoder.tokenizer.token_to_id(piece) for piece in ("Æ", "º"))  # the bytes of one letter
    logits = np.zeros((2, decoder.config.vocab_size), np.float32)
    logits[0, first] = logits[1, second] = 1
    assert predicted_label(decoder.tokenizer, decoder.config, logits, 1) == "‹BA›"
    assert trace.verify().ok
