"""Every fault that the badge is to notice, made on purpose: the check turns red, and names the part."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import model
from model.attention import formula
from model.attention.recorded_call import RecordedCall
from model.huggingface.recording import eager_run
from model.huggingface.text_model import TextModel
from model.trace.attention import Attention
from model.trace.check import MAP_SIDE, Check, Probe
from model.trace.trace import Trace
from model.translator import transformer
from model.translator.translator import Translator
from model.turns import Turns
from model.verification import tolerances
from tests.model.huggingface.test_families import TARGET, TEXT, build, opened  # noqa: F401  (a fixture)

SENTENCE = "The red car stopped near the old house."


def wrong(check: Check) -> set[str]:
    """Names of the parts that are wrong."""
    assert check.verdict == ("wrong" if check.wrong_parts else "proved")
    return {part.name for part in check.wrong_parts}


def changed(trace: Trace, **fields: Any) -> set[str]:
    return wrong(replace(trace, **fields).verify())


def with_attention(trace: Trace, change: Callable[[Attention], Attention]) -> set[str]:
    return changed(trace, attentions={kind: change(one) for kind, one in trace.attentions.items()})


def shifted(array: Any) -> np.ndarray:
    """The same numbers, the last of them a little larger."""
    found = np.array(array)
    found.ravel()[-1] += 0.05 * np.abs(found).max()
    return found


@pytest.fixture(params=["translator", "bert", "llama", "bart", "t5", "gemma2"])
def trace(request: pytest.FixtureRequest, lens: Translator, opened: dict[str, TextModel]) -> Trace:  # noqa: F811
    if request.param == "translator":
        found = lens.trace(SENTENCE)
    else:
        here = opened[request.param]
        found = here.trace(TEXT, TARGET if here.is_encoder_decoder else None)
    assert dict(found.neurons)  # of the library's models compared once they were asked for
    check = found.verify()
    assert check.verdict == "proved", check.wrong_parts
    assert {"weights", "queries", "keys", "values", "scores", "states", "neurons", "labels", "layers"} <= {
        p.name for p in check.parts
    }
    assert not check.uncompared
    return found


def test_hidden_states_neurons_and_logits(trace: Trace) -> None:
    states = {stack: np.array(one) for stack, one in trace.hidden_states.items()}
    last = list(states)[-1]
    for layer in range(len(states[last])):
        broken = states[last].copy()
        broken[layer] = shifted(broken[layer])
        assert changed(trace, hidden_states=states | {last: broken}) == {"states"}
    assert changed(trace, hidden_states=states | {last: states[last][::-1]}) == {"states"}
    assert changed(trace, neurons={stack: shifted(one) for stack, one in trace.neurons.items()}) == {"neurons"}
    neurons = {stack: np.array(one) for stack, one in trace.neurons.items()}
    assert changed(trace, neurons={stack: one[::-1] for stack, one in neurons.items()}) == {"neurons"}
    assert trace.verify_probe(Probe(neurons=neurons)).ok
    assert wrong(trace.verify_probe(Probe(neurons={last: neurons[last][:, ::-1]}))) == {"neurons"}
    if trace.logits is not None:
        assert changed(trace, logits=shifted(trace.logits)) == {"logits"}
        assert "logits" in changed(trace, logits=np.array(trace.logits)[::-1])


def test_neurons_that_the_reference_run_cannot_tell_are_said(
    opened: dict[str, TextModel],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = opened["llama"].trace(TEXT)
    neurons = dict(found.neurons)
    monkeypatch.setattr(eager_run, "capture_neurons", lambda *_: None)
    assert found.verify().uncompared == ("neurons",)
    check = found.verify_probe(Probe(neurons=neurons))
    assert check.uncompared == ("neurons",)
    assert not check.parts


def test_words_and_labels(trace: Trace) -> None:
    stack = list(trace.tokens)[-1]
    tokens, texts = trace.tokens[stack], trace.tokens[stack].texts
    moved = replace(tokens, texts=(*texts[1:], texts[0]))
    assert changed(trace, tokens=dict(trace.tokens) | {stack: moved}) == {"labels"}
    for attention in trace.attentions.values():
        keys = attention.keys
        other = replace(attention, keys=replace(keys, texts=(*keys.texts[1:], keys.texts[0])))
        assert changed(trace, attentions=dict(trace.attentions) | {attention.kind: other}) == {"labels"}
    ids = dict(trace.ids)
    assert "tokens" in changed(trace, ids=ids | {stack: (*ids[stack][1:], ids[stack][0])})
    if trace.output:
        assert changed(trace, output=trace.output + " x") == {"words"}
    if trace.predicted is not None:
        assert changed(trace, predicted=(*trace.predicted[1:], trace.predicted[0])) == {"words"}


def test_layers_in_another_order(trace: Trace) -> None:
    assert "weights" in with_attention(trace, lambda one: replace(one, layers=one.layers[::-1]))
    counted = with_attention(trace, lambda one: replace(one, layer_index=tuple(i + 1 for i in one.layer_index)))
    assert counted == {"layers"}


@pytest.mark.parametrize("part", ["query", "key", "value"])
def test_queries_keys_and_values(trace: Trace, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = RecordedCall.array
    name = {"query": "queries", "key": "keys", "value": "values"}[part]
    monkeypatch.setattr(RecordedCall, "array", lambda self, asked: right(self, asked) * (1.01 if asked == part else 1))
    assert wrong(replace(trace).verify()) == {name}


def test_scores_weights_and_heads(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, weights = RecordedCall.scores, RecordedCall.weights
    monkeypatch.setattr(RecordedCall, "scores", lambda self, masked=True: scores(self, masked) + 0.5)
    assert wrong(replace(trace).verify()) == {"scores"}
    monkeypatch.setattr(RecordedCall, "scores", lambda self, masked=True: scores(self, masked) * 1.02)
    assert wrong(replace(trace).verify()) == {"scores"}
    monkeypatch.setattr(RecordedCall, "scores", scores)
    for change in (lambda one: one[::-1], lambda one: np.roll(one, 1, axis=0), lambda one: one[:, ::-1]):
        monkeypatch.setattr(RecordedCall, "weights", lambda self, change=change: change(weights(self)))
        assert "weights" in wrong(replace(trace).verify())


def test_positions_that_both_runs_share(lens: Translator, opened: dict[str, TextModel]) -> None:  # noqa: F811
    held = lens.module.positions.clone()
    lens.module.positions.roll(1, 0)
    try:
        lens.module.positions.copy_(held.roll(1, 0))
        assert not lens.trace(SENTENCE).verify().ok
    finally:
        lens.module.positions.copy_(held)
    assert lens.trace(SENTENCE).verify().ok
    for family, name in (("llama", "inv_freq"), ("qwen3", "inv_freq"), ("marian", "weight")):
        here = opened[family]
        assert here.trace(TEXT).verify().ok
        for part_name, part in here.module.named_modules():
            table = getattr(part, name, None)
            if table is None or (name == "weight" and "embed_positions" not in part_name):
                continue
            held = table.data.clone()
            table.data.copy_(held.flip(0))
            assert wrong(here.trace(TEXT).verify()) == {"positions"}, family
            table.data.copy_(held)
        assert here.trace(TEXT).verify().ok


def test_a_bias_by_other_distances(opened: dict[str, TextModel], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    here = opened["t5"]
    part: Any = here.module.encoder.block[0].layer[0].SelfAttention
    right = part.compute_bias
    monkeypatch.setattr(type(part), "compute_bias", lambda self, *args, **more: right(*args, **more).flip(-1))
    assert "positions" in wrong(here.trace(TEXT).verify())


@pytest.mark.parametrize("family", ["translator", "llama", "bert", "bart"])
def test_logit_lens_and_effects(family: str, lens: Translator, opened: dict[str, TextModel]) -> None:  # noqa: F811
    here: Any = lens if family == "translator" else opened[family]
    text, target = (SENTENCE, None) if family == "translator" else (TEXT, TARGET if family == "bart" else "")
    found = here.trace(text, target)
    forced = found.ids["decoder"][found.prompt_length :] if "decoder" in found.ids else None
    ids, chances = here.logit_lens(text, forced)
    assert found.verify_probe(Probe(lens=(ids, chances))).ok
    for broken in ((ids[::-1], chances[::-1]), (np.roll(ids, 1), chances), (ids, chances * 0.9), (ids + 1, chances)):
        assert not found.verify_probe(Probe(lens=broken)).ok
    effects, in_bits = here.head_effects(text, forced)
    assert found.verify_probe(Probe(effects=effects, in_bits=in_bits)).ok
    for change in (lambda one: one[::-1], lambda one: one * 1.1, lambda one: np.roll(one, 1, axis=1)):
        broken_effects = {kind: change(one) for kind, one in effects.items()}
        assert not found.verify_probe(Probe(effects=broken_effects, in_bits=in_bits)).ok


def test_a_family_that_shows_its_weights_only_is_repeated(opened: dict[str, TextModel]) -> None:  # noqa: F811
    check = opened["bloom"].trace(TEXT).verify()
    assert check.ok
    assert check.verdict == "repeated"
    assert not check.independent


@pytest.mark.parametrize("family", ["translator", "llama", "bert", "t5"])
def test_rounding_is_told_from_a_fault_in_float64(
    family: str,
    lens: Translator,
    opened: dict[str, TextModel],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = lens.trace(SENTENCE) if family == "translator" else opened[family].trace(TEXT)
    assert found.verify().rounding is None
    strict = tolerances.Limits
    monkeypatch.setattr(strict, "weight", lambda self, layer: 1e-9)  # as if float32 rounded away much on this text
    honest = replace(found).verify()
    assert honest.ok, honest.wrong_parts
    assert honest.rounding is not None
    assert 1e-9 < honest.rounding < 1e-4
    weights = RecordedCall.weights
    monkeypatch.setattr(RecordedCall, "weights", lambda self: weights(self) * np.float32(1.0001))
    assert not replace(found).verify().ok


def test_what_half_precision_rounds_away_is_told_from_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("llama", tmp_path)
    found = model.load(str(tmp_path), "cpu", dtype="bfloat16").trace(TEXT)
    assert found.verify().rounding is None
    # As if the states of this text rounded far beyond what is usual, as the massive ones of SmolLM2 do.
    monkeypatch.setattr(tolerances, "vector_roundings", lambda width: 1e-3)
    honest = replace(found).verify()
    assert honest.ok, honest.wrong_parts
    assert honest.rounding is not None
    states = {stack: np.array(one) for stack, one in found.hidden_states.items()}
    assert "states" in changed(found, hidden_states={stack: one * 1.5 for stack, one in states.items()})
    weights = RecordedCall.weights
    monkeypatch.setattr(RecordedCall, "weights", lambda self: weights(self)[::-1])
    assert "weights" in wrong(replace(found).verify())


def test_large_logits_have_fewer_digits_behind_the_point() -> None:
    limits = tolerances.limits(torch.float32)
    assert limits.logit(6, 20.0) == limits.logit(6, 1.0) == 1e-4
    assert limits.logit(6, 600.0) == pytest.approx(2e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_head_a_fifth_too_strong_is_noticed_in_half_precision(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    half, right = model.load("en-fr", "cpu", dtype=dtype), formula.attention
    assert half.trace(SENTENCE).verify().ok
    for place in (("encoder", 0), ("encoder", 2), ("decoder", 1), ("cross", 2)):

        def louder(*args: Any, place: tuple[str, int] = place, **more: Any) -> torch.Tensor:
            output = right(*args, **more).clone()
            if (more["kind"], more["layer"]) == place:
                output[:, 1] *= 1.2
            return output

        monkeypatch.setattr(transformer, "attention", louder)
        assert not half.trace(SENTENCE).verify().ok, place


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_our_own_models_in_half_precision_are_settled_in_float64(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    half, right = model.load("en-fr", "cpu", dtype=dtype), formula.attention
    monkeypatch.setattr(tolerances, "WEIGHT_ROUNDINGS", 1e-2)  # as if this text rounded far beyond what is usual
    honest = half.trace(SENTENCE).verify()
    assert honest.ok, honest.wrong_parts
    assert honest.rounding is not None

    def louder(*args: Any, **more: Any) -> torch.Tensor:
        output = right(*args, **more).clone()
        if (more["kind"], more["layer"]) == ("encoder", 1):
            output[:, 1] *= 1.2
        return output

    monkeypatch.setattr(transformer, "attention", louder)
    assert not half.trace(SENTENCE).verify().ok


def test_a_text_longer_than_a_tile_keeps_pooled_maps(lens: Translator) -> None:
    check = lens.trace("very " * 60).verify()
    assert check.ok
    for maps in check.maps.values():
        assert max(maps.shape[1:]) <= MAP_SIDE


def test_a_check_lets_others_go_first_between_two_layers(opened: dict[str, TextModel]) -> None:  # noqa: F811
    found, turns, order = opened["llama"].trace(TEXT), Turns(), list[str]()

    def page() -> None:
        with turns.held(short=True):
            order.append("page")

    with ThreadPoolExecutor(1) as pool:
        with turns.held():
            other = pool.submit(page)
            while not turns._short:
                time.sleep(0.01)
            assert found.verify().ok
            order.append("check")
        other.result(60)
    assert order == ["page", "check"]
