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
from model.trace.boxes.stack import Stack, part_of
from model.trace.decoding import Decoding
from model.trace.edits import Edits
from model.training.python_source import train_code_tokenizer
from model.translator.decoder_only import DecoderOnly
from model.translator.language_model import LanguageModel
from model.translator.transformer import Config
from model.translator.translator import Translator
from tests.model.decomposition.families import FAMILIES, TARGET, TEXT, new_model, small_model

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

# A model, a block, where of its norms one stands ("" or "_after"), and its path.
NORMS_BY_HAND = [
    ("translator", ("encoder", 1, "attention"), "", "encoder.1.norm_1"),
    ("translator", ("encoder", 2, "feed_forward"), "", "encoder.2.norm_2"),
    ("translator", ("decoder", 0, "cross_attention"), "", "decoder.0.norm_2"),
    ("translator", ("decoder", 2, "feed_forward"), "", "decoder.2.norm_3"),
    ("decoder", ("decoder", 1, "attention"), "", "decoder.1.norm_1"),
    ("bert", ("encoder", 0, "feed_forward"), "", "bert.encoder.layer.0.output.LayerNorm"),
    ("gpt2", ("decoder", 1, "feed_forward"), "", "transformer.h.1.ln_2"),
    ("llama", ("decoder", 0, "attention"), "", "model.layers.0.input_layernorm"),
    ("t5", ("decoder", 1, "cross_attention"), "", "decoder.block.1.layer.1.layer_norm"),
    ("glm4", ("decoder", 1, "attention"), "_after", "model.layers.1.post_self_attn_layernorm"),
    ("bert", ("encoder", 0, "embedding"), "", "bert.embeddings.LayerNorm"),
    ("bloom", ("decoder", 0, "embedding"), "", "transformer.word_embeddings_layernorm"),
    ("gpt2", ("decoder", 1, "final"), "", "transformer.ln_f"),
    ("llama", ("decoder", 1, "final"), "", "model.norm"),
    ("t5", ("encoder", 2, "final"), "", "encoder.final_layer_norm"),
]


def decoder_alone() -> LanguageModel:
    """A small from-scratch decoder with random weights."""
    torch.manual_seed(3)
    words = train_code_tokenizer([TEXT] * 3, 300)
    sizes = {"d_model": 16, "num_heads": 4, "encoder_layers": 0, "decoder_layers": 2, "d_ff": 32, "max_tokens": 64}
    module = DecoderOnly(Config(words.get_vocab_size(), **sizes))
    for name, parameter in module.named_parameters():
        if "norm" in name:  # gains and shifts that do something
            torch.nn.init.normal_(parameter, 0.5)
    return LanguageModel(module, words, "cpu")


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


@pytest.mark.parametrize("part", ["norm", "gain"])
@pytest.mark.parametrize(("name", "block", "end", "path"), NORMS_BY_HAND)
def test_states_are_those_of_a_model_without_that_norm_or_its_gain(
    name: str, block: tuple[str, int, str], end: str, path: str, part: str, lens: Translator
) -> None:
    whole = opened(name, lens)
    target = TARGET if whole.is_encoder_decoder else None
    place = (*block[:2], f"{block[2]}_{part}{end}")
    edited = whole.trace(TEXT, target, edits=Edits(blocks={place}))
    module = copy.deepcopy(whole.module)
    norm = module.get_submodule(path)
    if part == "norm":
        module.set_submodule(path, torch.nn.Identity())
    else:
        norm.weight.data.fill_(1)
        if getattr(norm, "bias", None) is not None:
            norm.bias.data.zero_()
    changed = type(whole)(module, whole.tokenizer, "cpu").trace(TEXT, target)
    for stack, states in edited.hidden_states.items():
        np.testing.assert_allclose(states, changed.hidden_states[stack], rtol=1e-4, atol=1e-5)
    plain = whole.trace(TEXT, target)
    assert np.abs(np.asarray(edited.logits) - np.asarray(plain.logits)).max() > 1e-3
    assert edited.verify().ok
    assert edited.verify().independent == (name != "bloom")  # whose attention cannot be recorded
    found = edited.blocks(block[0])
    assert found.error < 1e-5
    np.testing.assert_allclose(found.final, edited.hidden_states[block[0]][-1], rtol=1e-5, atol=1e-6)
    if block[2] in ("embedding", "final") and block[0] == "decoder":
        assert edited.credit(2, 5).error < 1e-3 * max(abs(edited.credit(2, 5).logit), 1)
        if name != "bloom":  # of which no queries and keys are recorded
            assert edited.why("decoder", 1, 0, 2, 1).error < 1e-3 * max(abs(edited.why("decoder", 1, 0, 2, 1).score), 1)
    if name == "t5" and block[2] == "final":  # keys of the encoder's last state
        assert edited.why("cross", 1, 0, 1, 1).error < 1e-3 * max(abs(edited.why("cross", 1, 0, 1, 1).score), 1)
    if name == "translator":
        position = 2 if block[0] == "decoder" else 1
        match = edited.why(block[0], min(block[1] + 1, 2), 0, position, 1)
        assert match.error < 1e-3 * max(abs(match.score), 1)
        assert edited.credit(0, 5).error < 1e-3 * max(abs(edited.credit(0, 5).logit), 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_box_of_a_family_adds_nothing_and_the_check_follows(family: str) -> None:
    whole = small_model(family)
    target = TARGET if whole.is_encoder_decoder else None
    plain = whole.trace(TEXT, target)
    for stack, layers in whole.boxes().items():
        own = plain.blocks(stack)
        number = len(layers) - 1
        kinds = tuple(block.kind for block in own.layers[number])
        assert layers[number][: len(kinds)] == kinds
        for kind in layers[number][len(kinds) :]:
            edited = whole.trace(TEXT, target, edits=Edits(blocks={(stack, number, kind)}))
            assert edited.blocks(stack).error < 1e-5
            assert edited.verify().ok or not plain.verify().ok
            if part_of(kind)[1].startswith("norm"):
                pretended = replace(plain, edits=edited.edits, run_check=edited.run_check)
                assert "states" in {part.name for part in pretended.verify().wrong_parts}
        for index, kind in enumerate(kinds):
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


@pytest.mark.parametrize("kind", ["attention", "feed_forward_gain"])
def test_of_layers_that_are_one_module_a_box_is_left_out_of_one(kind: str) -> None:
    whole = small_model("albert")
    assert whole.trace(TEXT).blocks("encoder").shares_weights
    assert not small_model("bert").trace(TEXT).blocks("encoder").shares_weights
    plain = whole.trace(TEXT).hidden_states["encoder"]
    for layer in range(2):
        edited = whole.trace(TEXT, edits=Edits(blocks={("encoder", layer, kind)}))
        same = [np.allclose(*pair, atol=1e-5) for pair in zip(edited.hidden_states["encoder"], plain, strict=True)]
        assert same == [True, layer > 0, False]
        assert edited.verify().ok
        found = edited.blocks("encoder")
        assert [layer_.blocks[0].adds.any() for layer_ in found.layers] == [
            kind != "attention" or layer > 0,
            kind != "attention" or layer < 1,
        ]
    both = whole.trace(TEXT, edits=Edits(blocks={("encoder", None, kind)}))
    assert both.verify().ok
    assert not np.allclose(both.hidden_states["encoder"][1], plain[1], atol=1e-5)
    np.testing.assert_array_equal(whole.trace(TEXT).hidden_states["encoder"], plain)


def test_a_family_whose_heads_cannot_be_changed_can_lose_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = new_model("bert")
    whole.heads = {}
    edited = whole.trace(TEXT, edits=Edits(blocks={("encoder", 1, "feed_forward")}))
    assert not edited.blocks("encoder").layers[1].blocks[1].adds.any()
    with pytest.raises(InputError) as caught:
        whole.trace(TEXT, edits=Edits(heads={("encoder", 0, 0): 0.0}))
    assert caught.value.reason == "edits_unseen"


@pytest.mark.parametrize("kind", ["attention", "feed_forward_norm", "attention_gain"])
def test_the_check_does_without_the_hooks(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass whose hooks do nothing is found out, though the run it is compared with has the same hooks."""
    whole = small_model("llama")
    edits = Edits(blocks={("decoder", 1, kind)})
    assert whole.trace(TEXT, edits=edits).verify().ok
    monkeypatch.setattr(boxes, "current_edit_plan", lambda: None)
    assert not whole.trace(TEXT, edits=edits).verify().ok
