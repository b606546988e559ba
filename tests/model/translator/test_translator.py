"""The bundled model through its public names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import model
from model.errors import InputError
from model.tokenization.labels import label_pieces
from model.translator.text_preparation import normalize_capitals
from model.translator.transformer import KeyValueCache, Transformer, skip_initialization
from model.translator.translator import Translator


def test_trace_has_every_public_name_in_shape(lens: Translator) -> None:
    trace = lens.trace("The red car stopped.")
    source, target = len(trace.tokens["encoder"]), len(trace.tokens["decoder"])
    assert source != target
    assert list(trace.attentions) == ["encoder", "decoder", "cross"]
    sizes = {"encoder": (source, source), "decoder": (target, target), "cross": (target, source)}
    for kind, attention in trace.attentions.items():
        assert attention.weights(0).shape == (attention.num_heads, *sizes[kind])
        assert (len(attention.query_tokens), len(attention.key_tokens)) == sizes[kind]
        assert attention.mask(0).shape == sizes[kind]
        for layer in range(attention.num_layers):
            np.testing.assert_allclose(attention.weights(layer).sum(-1), 1, atol=1e-6)
            assert (attention.weights(layer)[:, ~attention.mask(layer)] == 0).all()
            assert np.isneginf(attention.scores(layer)[:, ~attention.mask(layer)]).all()
    config = lens.config
    assert trace.hidden_states["encoder"].shape == (config.encoder_layers + 1, source, config.d_model)
    assert trace.hidden_states["decoder"].shape == (config.decoder_layers + 1, target, config.d_model)
    assert trace.neurons["decoder"].shape == (config.decoder_layers, target, config.d_ff)
    assert trace.neurons["encoder"].min() == 0
    assert trace.logits is not None
    assert trace.logits.shape == (target, config.vocab_size)
    assert not trace.logits.flags.writeable
    assert trace.attentions["cross"].key_tokens[-1] == "</s>"
    assert trace.attentions["cross"].query_tokens[0] == "<s>"


def test_a_layer_that_is_not_there_is_named(lens: Translator) -> None:
    with pytest.raises(IndexError, match="layers 0 to 2; got 3"):
        lens.trace("Hi.").attentions["encoder"].weights(3)


def test_verify_holds_and_can_fail(lens: Translator) -> None:
    check = lens.trace("I don't know what you're talking about.").verify()
    assert check.ok, check
    assert 0 < check.max_logit_error < 1e-4
    # Broken on purpose: the same weights, but one attention forgets to divide by √d_k.
    broken = Translator(lens.module, lens.tokenizer, "cpu")
    attention = lens.module.encoder[0].self_attention
    before = attention.w_q.weight.data.clone()
    trace = broken.trace("I don't know what you're talking about.")
    try:
        attention.w_q.weight.data *= 1.01  # the stock run now has other weights than the trace had
        assert not trace.verify().ok
    finally:
        attention.w_q.weight.data = before


def test_padded_batch_equals_unpadded(lens: Translator) -> None:
    short, long = lens.trace_batch(["I see.", "She gave him the book that he wanted."], [None, None])
    alone = lens.trace("I see.")
    assert short.output == alone.output
    assert short.tokens["encoder"].texts[-1] == "<pad>"
    assert short.verify().ok
    assert long.verify().ok
    for kind, attention in alone.attentions.items():
        q, k = len(attention.query_tokens), len(attention.key_tokens)
        for layer in range(attention.num_layers):
            padded = short.attentions[kind].weights(layer)
            np.testing.assert_allclose(padded[:, :q, :k], attention.weights(layer), atol=1e-5)
            if kind != "decoder":
                assert (padded[:, :, k:] == 0).all()


def test_greedy_decoding_is_deterministic_and_ends(lens: Translator) -> None:
    first, second = (lens.trace("Where did you buy those beautiful flowers?") for _ in range(2))
    assert first.output == second.output
    assert first.logits is not None
    assert second.logits is not None
    assert np.array_equal(first.logits, second.logits)
    nonsense = lens.trace("zx " * 60)
    assert len(nonsense.tokens["decoder"]) <= 2 * len(nonsense.tokens["encoder"]) + 11


def test_own_translation_is_what_the_logits_say(lens: Translator) -> None:
    trace = lens.trace("I love you.")
    assert trace.predicted is not None
    assert trace.predicted[:-1] == trace.tokens["decoder"].texts[1:]
    assert trace.predicted[-1] == "</s>"


def test_forced_translation_is_fed_in(lens: Translator) -> None:
    trace = lens.trace("The red car stopped.", target="La voiture rouge s'est arrêtée.")
    assert trace.tokens["decoder"].texts[:4] == ("<s>", "La", "voiture", "rouge")
    assert trace.output == "La voiture rouge s'est arrêtée."
    assert trace.verify().ok


def test_no_edits_is_bit_equal(lens: Translator) -> None:
    plain, edited = lens.trace("I love you."), lens.trace("I love you.", edits=model.Edits())
    assert plain.logits is not None
    assert edited.logits is not None
    assert np.array_equal(plain.logits, edited.logits)
    assert model.Edits() == model.Edits()
    assert hash(model.Edits()) == hash(model.Edits())


@pytest.mark.parametrize(
    ("text", "target", "reason"),
    [
        ("", None, "text_empty"),
        (" \n\t ", None, "text_empty"),
        ("\x00\x07", None, "text_empty"),
        ("\u200b", None, "text_empty"),
        ("word " * 2000, None, "text_too_long"),
        ("Hi.", "", "target_empty"),
        ("Hi.", "mot " * 2000, "target_too_long"),
    ],
)
def test_bad_input_is_refused_with_a_reason(lens: Translator, text: str, target: str | None, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        lens.trace(text, target=target)
    assert caught.value.reason == reason
    if "too_long" in reason:
        assert caught.value.values["allowed"] == lens.max_tokens - 1
        assert str(caught.value.values["tokens"]) in str(caught.value)


@pytest.mark.parametrize(
    "text", ["日本語 العربية", "😀👍🏽", "a\x00b\x1b[31m", "<b>bold</b> **md** $x$", "'", "\u0301"]
)
def test_odd_input_is_traced(lens: Translator, text: str) -> None:
    assert lens.trace(text).verify().ok


def test_unknown_characters_are_named(lens: Translator) -> None:
    assert dict(lens.trace("I like 日本 😀").notes)["unknown"] == "日本 😀"


def test_a_long_text_is_told_with_the_tokens_that_the_page_counts(lens: Translator) -> None:
    trace = lens.trace("word " * 80)
    assert dict(trace.notes)["long"] == str(len(trace.tokens["encoder"]))


@pytest.mark.parametrize("typed", ["<pad>", "</s>", "Hello </s> world <s>"])
def test_typed_marks_are_letters(lens: Translator, typed: str) -> None:
    """Only the end mark that the model needs is special; what somebody typed is not."""
    tokens = lens.trace(typed).tokens["encoder"]
    assert [text for text, special in zip(tokens.texts, tokens.special, strict=True) if special] == ["</s>"]


def test_decoding_with_a_cache_is_decoding_without(lens: Translator) -> None:
    source = torch.tensor([lens.tokenizer.encode("She gave him the book that he wanted.").ids])
    cache, target = KeyValueCache(), torch.tensor([[1, 40, 50, 60, 70]])
    with torch.no_grad():
        hidden, mask = lens.module.encode(source)
        whole = lens.module.decode(target, hidden[-1], mask)[-1]
        for length in range(1, 6):
            step = lens.module.decode(target[:, :length], hidden[-1], mask, cache)[-1]
            assert step.shape[1] == 1
            torch.testing.assert_close(step[:, 0], whole[:, length - 1], atol=1e-5, rtol=1e-5)


def test_longest_text_fits(lens: Translator) -> None:
    trace = lens.trace("the " * (lens.max_tokens - 1), target="le " * (lens.max_tokens - 1))
    assert len(trace.tokens["encoder"]) == lens.max_tokens
    assert len(trace.tokens["decoder"]) == lens.max_tokens


def test_case_quotes_and_spaces_do_not_derail(lens: Translator) -> None:
    said = lens.trace("Don't worry about it.").output
    assert lens.trace("Don\u2019t  worry\u00a0about it.").output == said
    assert lens.trace("DON'T WORRY ABOUT IT.").output == said
    assert lens.trace("I know the USA.").notes == ()


def test_a_word_in_quotes_stays_whole(lens: Translator) -> None:
    for quoted in ('He is "happy".', "He is \u201chappy\u201d.", "He is 'happy'.", "He is (happy)."):
        trace = lens.trace(quoted)
        assert "happy" in trace.tokens["encoder"].texts
        assert "heureux" in str(trace.output)
        assert not trace.notes
    assert lens.trace("Don't!").tokens["encoder"].texts == ("Don't", "!", "</s>")


def test_capitals_are_normalized() -> None:
    assert normalize_capitals("WHERE AM I? I AM LOST.") == "Where am I? I am lost."
    assert normalize_capitals("NASA called.") == "NASA called."
    assert normalize_capitals("USA") == "USA"


def test_readable_tokens() -> None:
    raw = ["▁l'", "hôtel", "▁un", "believ", "able", ".", "▁", "2", "0"]
    assert label_pieces(raw, [False] * 9).texts == ("l'", "hôtel", "un", "·believ", "·able", ".", "␣", "2", "·0")


def test_unknown_model_and_device_are_named() -> None:
    with pytest.raises(ValueError, match="no-such-model"):
        model.load("no-such-model")
    with pytest.raises(ValueError, match=r"'tpu'; it has .*cpu"):
        model.load("en-fr", device="tpu")


def test_weights_fit_in_the_repository(lens: Translator) -> None:
    file = Path("assets/en-fr/model.safetensors")
    assert file.stat().st_size <= 32_000_000
    assert all(torch.isfinite(p).all() for p in lens.module.parameters())


def test_opening_a_model_leaves_others_filled_with_random_numbers(lens: Translator) -> None:
    with skip_initialization():
        pass
    config = replace(lens.config, vocab_size=11, d_model=16, d_ff=8)
    for parameter in Transformer(config).parameters():
        if parameter.dim() > 1:
            assert 0 < parameter.std() < 1
