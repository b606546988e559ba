"""Positional encodings as models compute them, on small random models: tables, rotations, biases, and none at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.huggingface import position_run, positions
from model.huggingface.opened_model import stack_names
from model.positions.rotary import rotate
from model.positions.scheme import PositionScheme
from model.positions.sinusoidal import sinusoidal
from tests.model.huggingface.test_families import FAMILIES, GROUPED, PAIR, SMALL
from tests.model.huggingface.test_layer_kinds import GEMMA3N, LONG_T5, opened

FOUR = {**GROUPED, "num_hidden_layers": 4}
WINDOWS = {"head_dim": 8, "sliding_window": 4}
LOCAL = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]


def family(folder: Path, name: str) -> Any:
    module, config, sizes, _ = FAMILIES[name]
    return opened(folder, module, config, sizes)


TABLES = {
    "bert": ("BertForMaskedLM", "BertConfig", SMALL, "learned", 0),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", {**SMALL, "pad_token_id": 1}, "learned", 2),
    "opt": (*FAMILIES["opt"][:3], "learned", 2),
    "bart": ("BartForConditionalGeneration", "BartConfig", PAIR, "learned", 2),
    "marian": ("MarianMTModel", "MarianConfig", PAIR, "sinusoidal", 0),
    "m2m": ("M2M100ForConditionalGeneration", "M2M100Config", {**PAIR, "pad_token_id": 1}, "sinusoidal", 2),
    "nllb-moe": (*FAMILIES["nllb-moe"][:3], "sinusoidal", 1),
    "xglm": ("XGLMForCausalLM", "XGLMConfig", {"d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 37}, "sinusoidal", 2),
    "ctrl": ("CTRLLMHeadModel", "CTRLConfig", {"n_embd": 32, "n_layer": 2, "n_head": 4, "dff": 37, "n_positions": 64}, "sinusoidal", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_the_first_layer_is_fed(tmp_path: Path, name: str) -> None:
    module, config, sizes, kind, first_row = TABLES[name]
    lens = opened(
        tmp_path, module, config, {"max_position_embeddings": 64, **sizes} if "n_positions" not in sizes else sizes
    )
    for stack in stack_names(lens):
        scheme = lens.positions(stack)
        assert (scheme.kind, scheme.first_row) == (kind, first_row)
        assert scheme.table is not None
        token = position_run.plain_ids(lens)[0]
        states = position_run.run(lens, position_run.equal_tokens(lens, token, 12)).states[stack][:-1]
        rows = scheme.table[: len(states)]
        normed = any("norm" in one.lower() for one, _ in lens.module.named_modules() if "embed" in one)
        if not normed:  # equal tokens, so all that differs is the table
            np.testing.assert_allclose(states - states[0], rows - rows[0], atol=2e-4 * np.abs(states).max())
        if kind == "sinusoidal":
            layout = {"ctrl": "halves", "marian": "halves"}.get(name, "fairseq")
            expected = sinusoidal(len(rows), rows.shape[1], layout=layout, first=first_row)
            np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_the_two_stacks_of_bart_have_tables_of_their_own(tmp_path: Path) -> None:
    lens = family(tmp_path, "bart")
    assert not lens.positions("encoder").equals(lens.positions("decoder"))
    whole = lens.module.model.decoder.embed_positions.weight.detach().numpy()
    np.testing.assert_allclose(lens.positions("decoder").table, whole[2:], atol=1e-6)


ROTARY = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED, [(0, 1)], ()),
    "gpt-neox": (*FAMILIES["gpt-neox"][:3], [(0, 1)], ()),
    "esm": (*FAMILIES["esm"][:3], [(0, 1)], ()),
    "gpt-oss": (*FAMILIES["gpt-oss"][:3], [(0, 1)], ()),
    "phi": ("PhiForCausalLM", "PhiConfig", {**GROUPED, "partial_rotary_factor": 0.5}, [(0, 1)], ()),
    "cohere": ("CohereForCausalLM", "CohereConfig", GROUPED, [(0, 1)], ()),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", {**FOUR, **WINDOWS, "layer_types": LOCAL}, [(0, 1, 3), (2,)], ()),
    "gemma3n": ("Gemma3nForCausalLM", "Gemma3nTextConfig", GEMMA3N, [(0, 2), (1, 3)], ()),
    "modernbert": ("ModernBertForMaskedLM", "ModernBertConfig", {**SMALL, "num_hidden_layers": 4, "global_attn_every_n_layers": 3, "local_attention": 8, "cls_token_id": 1, "sep_token_id": 2}, [(0, 3), (1, 2)], ()),
    "smollm3": ("SmolLM3ForCausalLM", "SmolLM3Config", {**FOUR, "no_rope_layer_interval": 2}, [(0, 2)], (1, 3)),
    "cohere2": ("Cohere2ForCausalLM", "Cohere2Config", {**FOUR, "sliding_window": 4, "layer_types": ["sliding_attention"] * 3 + ["full_attention"]}, [(0, 1, 2)], (3,)),
    "deepseek2": ("DeepseekV2ForCausalLM", "DeepseekV2Config", {**SMALL, "kv_lora_rank": 8, "q_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 2, "num_experts_per_tok": 1, "first_k_dense_replace": 2}, [(0, 1)], ()),
    "lfm2": ("Lfm2ForCausalLM", "Lfm2Config", {**FOUR, "layer_types": ["conv", "conv", "full_attention", "conv"]}, [(0,)], ()),
}  # fmt: skip


@pytest.mark.parametrize("name", ROTARY)
def test_a_query_further_on_is_the_same_query_rotated(tmp_path: Path, name: str) -> None:
    module, config, sizes, groups, still = ROTARY[name]
    lens = opened(tmp_path, module, config, sizes)
    scheme = lens.positions()
    assert (scheme.kind, scheme.unrotated) == ("rotary", still)
    assert [rotation.layers for rotation in scheme.rotations] == groups
    token = position_run.plain_ids(lens)[1]
    layers = position_run.run(lens, position_run.equal_tokens(lens, token, 12)).layers[lens.single_stack]
    if name in ("lfm2", "gpt-oss"):  # states of equal tokens differ from place to place, by convolutions and by sinks
        return
    for number, layer in enumerate(layers):
        rotation = scheme.rotation(number)
        for vectors in (layer.array("query")[3], layer.array("key")[3]):
            further = vectors[2]
            if rotation is not None:
                assert rotation.pairs is not None
                further = rotate(vectors[2], 5, rotation.frequencies, rotation.pairs)
                assert np.abs(vectors[7] - vectors[2]).max() > 1e-3
            np.testing.assert_allclose(further, vectors[7], atol=1e-3 * np.abs(vectors).max())


def test_two_bases_are_those_of_the_configuration(tmp_path: Path) -> None:
    module, config, sizes, _, _ = ROTARY["gemma3"]
    local, everywhere = opened(tmp_path, module, config, sizes).positions().rotations
    assert local.frequencies[1] == pytest.approx(10_000 ** (-1 / 4), rel=1e-4)
    assert everywhere.frequencies[1] == pytest.approx(1_000_000 ** (-1 / 4), rel=1e-4)


@pytest.mark.parametrize(
    ("module", "config", "sizes"),
    [
        ("RoFormerForMaskedLM", "RoFormerConfig", {**SMALL, "max_position_embeddings": 64}),
        ("GPTJForCausalLM", "GPTJConfig", {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 8}),
    ],
)
def test_a_rotation_shows_in_weights_alone(tmp_path: Path, module: str, config: str, sizes: dict[str, Any]) -> None:
    scheme = opened(tmp_path, module, config, sizes).positions()
    assert scheme.kind == "rotary"  # its sinusoids are not added to anything
    (rotation,) = scheme.rotations
    assert rotation.pairs is None
    np.testing.assert_allclose(rotation.frequencies, 10_000 ** (-np.arange(4) / 4))


def test_the_stacks_of_t5_have_biases_of_their_own(tmp_path: Path) -> None:
    lens = family(tmp_path, "t5")
    for stack, reach in (("encoder", 32), ("decoder", 0)):
        scheme, part = lens.positions(stack), getattr(lens.module, stack)
        layer = part.block[0].layer[0].SelfAttention
        square = layer.compute_bias(40, 40)[0].detach().numpy()  # [head, query, key]
        assert scheme.kind == "bias"
        assert scheme.distances is not None
        assert (scheme.distances[0], scheme.distances[-1]) == (-32, reach)
        np.testing.assert_allclose(scheme.bias[:, :32], square[:, 35, 3:35], atol=1e-5)
    assert not lens.positions("encoder").equals(lens.positions("decoder"))


def test_layers_with_biases_of_their_own_are_told_apart(tmp_path: Path) -> None:
    lens = opened(tmp_path, "UMT5ForConditionalGeneration", "UMT5Config", LONG_T5)
    scheme = lens.positions("encoder")
    assert scheme.layer_biases is not None
    assert scheme.layer_biases.shape == (2, 4, 65)
    assert np.abs(scheme.layer_biases[0] - scheme.layer_biases[1]).max() > 1e-3


@pytest.mark.parametrize("name", ["bloom", "mpt", "falcon"])
def test_alibi_is_read_off_the_weights(tmp_path: Path, name: str) -> None:
    scheme = family(tmp_path, name).positions()
    assert scheme.kind == "bias"
    slopes = np.array([2.0 ** -(2 * head) for head in (1, 2, 3, 4)])
    if name == "falcon":  # divided by √head_dim, as the scores are; the library adds it to them and to the mask
        slopes = 2 * slopes / np.sqrt(8)
    np.testing.assert_allclose(scheme.bias, slopes[:, None] * scheme.distances, atol=2e-3)


def test_what_no_layer_is_told_is_said(tmp_path: Path) -> None:
    sizes = {**FOUR, "intermediate_size": 32, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2}
    sizes |= {"num_experts_per_tok": 1, "mamba_dt_rank": 4, "mamba_d_state": 4, "use_mamba_kernels": False}
    assert opened(tmp_path, "JambaForCausalLM", "JambaConfig", sizes).positions().kind == "none"


def test_what_is_not_shown_is_not_measured(tmp_path: Path) -> None:
    lens = opened(tmp_path, "LongT5ForConditionalGeneration", "LongT5Config", {**LONG_T5, "local_radius": 3})
    assert (lens.positions("encoder").kind, lens.positions("decoder").kind) == ("hidden", "bias")
    assert family(tmp_path / "xlnet", "xlnet").positions().kind == "relative"  # what it adds depends on the token


def test_other_threads_do_not_notice_the_test_passes(tmp_path: Path) -> None:
    lens = family(tmp_path, "bart")
    before = len([hook for part in lens.module.modules() for hook in part._forward_hooks])
    expected = lens.trace("the cat sat", target="le chat").logits
    lens.positions()
    assert len([hook for part in lens.module.modules() for hook in part._forward_hooks]) == before
    np.testing.assert_array_equal(lens.trace("the cat sat", target="le chat").logits, expected)
    assert isinstance(lens.positions("decoder"), PositionScheme)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", [*TABLES, "gpt2", "distilbert", "electra", "deberta"])
def test_a_table_is_compared_with_what_the_model_adds(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, config, sizes, *_ = TABLES.get(name) or FAMILIES[name]
    lens = opened(tmp_path, module, config, sizes)
    schemes = [lens.positions(stack) for stack in stack_names(lens)]
    assert all(scheme.error is not None and scheme.error < 1e-4 for scheme in schemes)
    right = positions._table_scheme

    def one_on(rows: np.ndarray, part: Any) -> PositionScheme:
        scheme = right(rows, part)
        assert scheme.table is not None
        return replace(scheme, table=np.roll(scheme.table, 1, axis=0))

    monkeypatch.setattr(positions, "_table_scheme", one_on)
    if name != "ctrl":  # its table is found among its constants
        shifted = positions.measure_schemes(lens)
        assert all(scheme.error is not None and scheme.error > 1e-2 for scheme in shifted.values())


def test_vectors_for_distances_that_depend_on_the_token_are_told_apart(tmp_path: Path) -> None:
    sizes = {**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
    scheme = opened(tmp_path, "DebertaV2ForMaskedLM", "DebertaV2Config", sizes).positions()
    assert scheme.kind == "relative"
    assert scheme.table is None
