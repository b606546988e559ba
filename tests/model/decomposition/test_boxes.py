"""Boxes left out of a pass: states by hand, every family's boxes, the check that follows, what cannot be."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from model.decomposition import boxes
from model.errors import InputError
from model.trace.boxes.stack import Stack
from model.trace.decoding import Decoding
from model.trace.edits import Edits
from model.training.python_source import train_code_tokenizer
from model.translator.decoder_only import DecoderOnly
from model.translator.language_model import LanguageModel
from model.translator.transformer import Config
from model.translator.translator import Translator
from tests.model.decomposition.families import FAMILIES, TARGET, TEXT, small_model

# A model, a box, and the path of the matrix whose weights are zero where that box adds nothing.
BY_HAND = [
    ("translator", ("encoder", 1, "attention"), "encoder.1.self_attention.w_o"),
    ("translator", ("encoder", 2, "feed_forward"), "encoder.2.feed_forward.w_2"),
    ("translator", ("decoder", 0, "attention"), "decoder.0.self_attention.w_o"),
    ("translator", ("decoder", 1, "cross_attention"), "decoder.1.cross_attention.w_o"),
    ("translator", ("decoder", 2, "feed_forward"), "decoder.2.feed_forward.w_2"),
    ("decoder", ("decoder", 1, "attention"), "decoder.1.self_attention.w_o"),
    ("decoder", ("decoder", 0, "feed_forward"), "decoder.0.feed_forward.w_2"),
    ("bert", ("encoder", 0, "attention"), "bert.encoder.layer.0.attention.output.dense"),
    ("bert", ("encoder", 1, "feed_forward"), "bert.encoder.layer.1.output.dense"),
    ("gpt2", ("decoder", 1, "attention"), "transformer.h.1.attn.c_proj"),
    ("gpt2", ("decoder", 0, "feed_forward"), "transformer.h.0.mlp.c_proj"),
    ("llama", ("decoder", 0, "attention"), "model.layers.0.self_attn.o_proj"),
    ("llama", ("decoder", 1, "feed_forward"), "model.layers.1.mlp.down_proj"),
    ("t5", ("decoder", 1, "cross_attention"), "decoder.block.1.layer.1.EncDecAttention.o"),
]


def decoder_alone() -> LanguageModel:
    """A small from-scratch decoder with random weights."""
    torch.manual_seed(3)
    words = train_code_tokenizer([TEXT] * 3, 300)
    sizes = {"d_model": 16, "num_heads": 4, "encoder_layers": 0, "decoder_layers": 2, "d_ff": 32, "max_tokens": 64}
    return LanguageModel(DecoderOnly(Config(words.get_vocab_size(), **sizes)), words, "cpu")


def opened(name: str, lens: Translator) -> Any:
    """An opened model, the same one each time."""
    return lens if name == "translator" else decoder_alone() if name == "decoder" else small_model(name)


@pytest.mark.parametrize(("name", "box", "path"), BY_HAND)
def test_states_are_those_of_a_model_whose_box_has_no_weights(
    name: str, box: tuple[str, int, str], path: str, lens: Translator
) -> None:
    whole = opened(name, lens)
    target = TARGET if whole.is_encoder_decoder else None
    edited = whole.trace(TEXT, target, edits=Edits(blocks={box}))
    module = copy.deepcopy(whole.module)
    for parameter in module.get_submodule(path).parameters():
        parameter.data.zero_()
    emptied = type(whole)(module, whole.tokenizer, "cpu").trace(TEXT, target)
    for stack, states in edited.hidden_states.items():
        np.testing.assert_allclose(states, emptied.hidden_states[stack], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(edited.logits, emptied.logits, rtol=1e-5, atol=1e-5)
    plain = whole.trace(TEXT, target)
    assert np.abs(np.asarray(edited.logits) - np.asarray(plain.logits)).max() > 1e-3
    assert edited.verify().ok
    assert edited.verify().independent


@pytest.mark.parametrize("family", FAMILIES)
def test_each_box_of_a_family_adds_nothing_and_the_check_follows(family: str) -> None:
    whole = small_model(family)
    target = TARGET if whole.is_encoder_decoder else None
    plain = whole.trace(TEXT, target)
    for stack, layers in whole.boxes().items():
        own = plain.blocks(stack)
        number = len(layers) - 1
        if family == "albert":  # its layers are one
            assert layers == ((), ())
            continue
        assert layers[number] == tuple(block.kind for block in own.layers[number])
        for index, kind in enumerate(layers[number]):
            edited = whole.trace(TEXT, target, edits=Edits(blocks={(stack, number, kind)}))
            found = edited.blocks(stack)
            assert found.error < 1e-5
            assert not found.layers[number].blocks[index].adds.any()
            without = Stack(**vars(own) | {"layers": found.layers})
            np.testing.assert_allclose(without.layers[number].apply(own.states[number]), found.states[-1], atol=1e-5)
            np.testing.assert_allclose(found.final, edited.hidden_states[stack][-1], rtol=1e-5, atol=1e-6)
            wrong = {part.name for part in edited.verify().wrong_parts}
            assert wrong <= {part.name for part in plain.verify().wrong_parts}  # tables of positions that are random
            pretended = replace(plain, edits=edited.edits, run_check=edited.run_check)
            assert "states" in {part.name for part in pretended.verify().wrong_parts}


def test_a_box_is_left_out_of_every_layer_and_only_where_the_edits_say(lens: Translator) -> None:
    edits = Edits(blocks={("encoder", None, "feed_forward")})
    plain, edited = lens.trace(TEXT, TARGET), lens.trace(TEXT, TARGET, edits)
    for layer in edited.blocks("encoder").layers:
        assert layer.blocks[0].adds.any()
        assert not layer.blocks[1].adds.any()
    assert edited.verify().ok
    again = lens.trace(TEXT, TARGET)  # the hooks stay, and do nothing
    for stack, states in plain.hidden_states.items():
        np.testing.assert_array_equal(again.hidden_states[stack], states)
    np.testing.assert_array_equal(np.asarray(again.logits), np.asarray(plain.logits))


def test_boxes_join_other_edits_probes_and_generation(lens: Translator) -> None:
    box = ("decoder", 1, "cross_attention")
    edits = Edits(blocks={box}, heads={("decoder", 0, 2): 0.0}, positions="off")
    trace = lens.trace("The old car stopped.", edits=edits)
    assert trace.verify().ok
    found = lens.decode("The old car stopped.", Decoding(), edits)
    assert lens.tokenizer.decode(list(found.ids)) == trace.output
    effects, _ = lens.head_effects("The old car stopped.", None, Edits(blocks={box}))
    assert np.abs(effects["cross"][1]).max() < 1e-6  # its heads have nothing to say
    assert np.abs(effects["cross"][2]).max() > 1e-4
    credit = trace.credit(0, 5)
    assert credit.error < 1e-3
    assert all(part == 0 for source, part in zip(credit.sources, credit.parts, strict=True)
               if (source.kind, source.layer) == ("cross_attention", 1))  # fmt: skip


@pytest.mark.parametrize(
    "box", [("decoder", 9, "attention"), ("encoder", 0, "cross_attention"), ("decoder", 0, "other")]
)
def test_a_box_that_the_model_does_not_have_is_refused(box: tuple[str, int, str], lens: Translator) -> None:
    with pytest.raises(InputError) as caught:
        lens.trace(TEXT, TARGET, Edits(blocks={box}))
    assert caught.value.reason == "edits_unfit"
    assert not Edits(blocks={box}).supported_by(lens.heads, lens.boxes())


def test_layers_that_are_one_module_have_no_boxes_of_their_own() -> None:
    with pytest.raises(InputError) as caught:
        small_model("albert").trace(TEXT, edits=Edits(blocks={("encoder", 1, "attention")}))
    assert caught.value.reason == "edits_unfit"


def test_a_family_whose_heads_cannot_be_changed_can_lose_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small_model("bert")
    whole.heads = {}
    edited = whole.trace(TEXT, edits=Edits(blocks={("encoder", 1, "feed_forward")}))
    assert not edited.blocks("encoder").layers[1].blocks[1].adds.any()
    with pytest.raises(InputError) as caught:
        whole.trace(TEXT, edits=Edits(heads={("encoder", 0, 0): 0.0}))
    assert caught.value.reason == "edits_unseen"


def test_the_check_does_without_the_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass whose hooks do nothing is found out, though the run it is compared with has the same hooks."""
    whole = small_model("llama")
    edits = Edits(blocks={("decoder", 1, "attention")})
    assert whole.trace(TEXT, edits=edits).verify().ok
    monkeypatch.setattr(boxes, "current_edit_plan", lambda: None)
    assert not whole.trace(TEXT, edits=edits).verify().ok
