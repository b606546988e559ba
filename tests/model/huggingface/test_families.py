"""One contract for every family of Hugging Face models, from small random weights in a folder."""

from __future__ import annotations

import json
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import model
from model.attention.projections import shallow_copy
from model.errors import InputError, ModelError
from model.huggingface.recording.attention_interface import LIBRARY_EAGER, capture_weights
from model.huggingface.recording.eager_run import library_attentions
from model.huggingface.text_model import TextModel
from tests.model.huggingface.small_models import SPECIAL, TARGET, TEXT, OpenedFamilies, save, tokenizer

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
PAIR = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4}
PAIR |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "decoder_start_token_id": 2}
PAIR |= {"forced_eos_token_id": None}
GROUPED = {**SMALL, "num_key_value_heads": 2, "max_position_embeddings": 64}

# family: (model class, config class, sizes, kinds of attention it must show)
INSIDE = {
    "bert": ("BertForMaskedLM", "BertConfig", SMALL, ["encoder"]),
    "bert-base": ("BertModel", "BertConfig", SMALL, ["encoder"]),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", SMALL, ["encoder"]),
    "albert": ("AlbertForMaskedLM", "AlbertConfig", {**SMALL, "embedding_size": 16}, ["encoder"]),
    "electra": ("ElectraForMaskedLM", "ElectraConfig", {**SMALL, "embedding_size": 16}, ["encoder"]),
    "distilbert": ("DistilBertForMaskedLM", "DistilBertConfig", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37}, ["encoder"]),
    "esm": ("EsmForMaskedLM", "EsmConfig", {**SMALL, "position_embedding_type": "rotary", "mask_token_id": 3, "token_dropout": False, "emb_layer_norm_before": False}, ["encoder"]),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 4}, ["decoder"]),
    "gpt-neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {**SMALL, "max_position_embeddings": 64}, ["decoder"]),
    "opt": ("OPTForCausalLM", "OPTConfig", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 37, "word_embed_proj_dim": 32}, ["decoder"]),
    "llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED, ["decoder"]),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {**GROUPED, "head_dim": 8}, ["decoder"]),
    "mistral": ("MistralForCausalLM", "MistralConfig", {**GROUPED, "sliding_window": 4}, ["decoder"]),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {**GROUPED, "intermediate_size": 32, "num_local_experts": 4, "num_experts_per_tok": 2}, ["decoder"]),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", {**GROUPED, "head_dim": 8}, ["decoder"]),
    "bart": ("BartForConditionalGeneration", "BartConfig", PAIR, ["encoder", "decoder", "cross"]),
    "mbart": ("MBartForConditionalGeneration", "MBartConfig", PAIR, ["encoder", "decoder", "cross"]),
    "marian": ("MarianMTModel", "MarianConfig", PAIR, ["encoder", "decoder", "cross"]),
    "pegasus": ("PegasusForConditionalGeneration", "PegasusConfig", PAIR, ["encoder", "decoder", "cross"]),
    "t5": ("T5ForConditionalGeneration", "T5Config", {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 4, "decoder_start_token_id": 0, "initializer_factor": 0.3}, ["encoder", "decoder", "cross"]),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", {**GROUPED, "head_dim": 8, "attn_logit_softcapping": 2.0, "query_pre_attn_scalar": 8}, ["decoder"]),
    "gpt-oss": ("GptOssForCausalLM", "GptOssConfig", {**GROUPED, "intermediate_size": 32, "head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}, ["decoder"]),
    "nllb-moe": ("NllbMoeForConditionalGeneration", "NllbMoeConfig", {**PAIR, "num_experts": 2, "encoder_sparse_step": 0, "decoder_sparse_step": 0}, ["encoder", "decoder", "cross"]),
}  # fmt: skip
OUTSIDE = {
    "codegen": ("CodeGenForCausalLM", "CodeGenConfig", {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4}, ["decoder"]),
    "xlnet": ("XLNetLMHeadModel", "XLNetConfig", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 37}, ["encoder"]),
    "bloom": ("BloomForCausalLM", "BloomConfig", {"hidden_size": 32, "n_layer": 2, "n_head": 4}, ["decoder"]),
    "mpt": ("MptForCausalLM", "MptConfig", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64}, ["decoder"]),
    "falcon": ("FalconForCausalLM", "FalconConfig", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True, "multi_query": False}, ["decoder"]),
    "deberta": ("DebertaV2ForMaskedLM", "DebertaV2Config", SMALL, ["encoder"]),
}  # fmt: skip
FAMILIES = INSIDE | OUTSIDE


def build(family: str, folder: Path) -> None:
    """Save a small random model of a family, with its tokenizer, to a folder."""
    module, config, sizes, _ = FAMILIES[family]
    pieces = tokenizer()
    torch.manual_seed(3)
    made = getattr(transformers, module)(getattr(transformers, config)(vocab_size=len(pieces), **(SPECIAL | sizes)))
    save(made, folder, pieces)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TextModel]:
    """Opens each family once, through the public door."""
    return OpenedFamilies(build, tmp_path_factory.mktemp)


@pytest.mark.parametrize("family", FAMILIES)
def test_contract(opened: dict[str, TextModel], family: str) -> None:
    lens = opened[family]
    kinds = FAMILIES[family][3]
    assert lens.uses_interface == (family in INSIDE)
    trace = lens.trace(TEXT, target=TARGET if "cross" in kinds else None)
    assert list(trace.attentions) == kinds
    check = trace.verify()
    assert check.ok, check
    assert check.max_weight_error < 1e-5
    assert trace.logits is None or check.max_logit_error < 1e-4
    assert trace.nbytes > sum(states.nbytes for states in trace.hidden_states.values())
    for kind, attention in trace.attentions.items():
        assert attention.num_heads == 4
        assert attention.num_layers == (3 if "cross" in kinds and kind == "encoder" else 2)
        for layer in range(attention.num_layers):
            weights = attention.weights(layer)
            assert weights.shape == (4, len(attention.query_tokens), len(attention.key_tokens))
            if family == "gpt-oss":
                assert (weights.sum(-1) < 1).all()
            else:
                np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
            assert (weights[:, ~attention.mask(layer)] == 0).all()
            if kind == "decoder":
                assert not np.triu(attention.mask(layer), 1).any()
    for stack, states in trace.hidden_states.items():
        assert states.shape[1] == len(trace.tokens[stack].texts)
    tokens = trace.tokens[next(iter(trace.tokens))].texts
    assert tokens.count("the") == 3
    assert tokens[-1] == "</s>"
    if family in INSIDE:
        attention = trace.attentions[kinds[-1]]
        mixed = attention.weights(1) @ attention.value(1)
        assert mixed.shape == attention.query(1).shape
        assert np.isneginf(attention.scores(0)[:, ~attention.mask(0)]).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_eight_threads_at_once_change_nothing(opened: dict[str, TextModel], family: str) -> None:
    lens = opened[family]
    texts = [TEXT, "a b c", "le chat", "the mat sat", "x y z", "was tired", "on the cat", "because"]

    def layers(text: str) -> list[np.ndarray]:
        trace = lens.trace(text, target=TARGET if "cross" in FAMILIES[family][3] else None)
        return [a.weights(layer) for a in trace.attentions.values() for layer in range(a.num_layers)]

    alone = [layers(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(layers, texts))
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_broken_model_turns_the_check_red(opened: dict[str, TextModel]) -> None:
    lens = opened["llama"]
    trace = lens.trace(TEXT)
    weight = lens.module.model.layers[1].self_attn.q_proj.weight
    weight.data[0, 0] += 1
    try:
        assert not trace.verify().ok  # the stock run sees other weights than the trace did
    finally:
        weight.data[0, 0] -= 1


@pytest.mark.parametrize("family", INSIDE)
def test_the_stock_run_shows_layer_by_layer_what_the_library_returns(opened: dict[str, TextModel], family: str) -> None:
    lens = opened[family]
    inputs, _ = lens._inputs([TEXT], [TARGET if lens.is_encoder_decoder else None], None)
    stock = shallow_copy(lens.module)
    seen: dict[tuple[str, int], torch.Tensor] = {}
    held: list[weakref.ref[torch.Tensor]] = []

    def look(kind: str, layer: int, weights: torch.Tensor) -> None:
        assert not [one for one in held if one() is not None]  # or a long text takes the memory of all layers' maps
        held.append(weakref.ref(weights))
        seen[kind, layer] = weights.clone()

    with torch.inference_mode():
        stock.set_attn_implementation("eager")
        whole = lens.run(stock, inputs, eager=True)
        stock.set_attn_implementation(LIBRARY_EAGER)
        with capture_weights(look):
            parts = lens.run(stock, inputs, eager=False)
    expected = library_attentions(whole, None if lens.is_encoder_decoder else lens.single_stack)
    assert set(seen) == {(kind, layer) for kind, layers in expected.items() for layer in range(len(layers))}
    for (kind, layer), weights in seen.items():
        torch.testing.assert_close(weights, expected[kind][layer], atol=1e-6, rtol=0)
    answers = [one.last_hidden_state if "logits" not in one else one.logits for one in (whole, parts)]
    torch.testing.assert_close(*answers, atol=1e-5, rtol=1e-5)


def test_the_window_of_a_sliding_window_model_is_in_its_mask(opened: dict[str, TextModel]) -> None:
    mask = opened["mistral"].trace(TEXT).attentions["decoder"].mask(0)
    assert mask[7].tolist() == [4 <= key <= 7 for key in range(len(mask))]


def test_pairs_translate_on_their_own_and_decoders_go_on(opened: dict[str, TextModel]) -> None:
    for family in ("bart", "t5"):
        trace = opened[family].trace(TEXT)
        assert trace.logits is not None
        assert trace.ids["decoder"][1:] == tuple(trace.logits[:-1].argmax(-1))
        assert trace.verify().ok
    assert opened["gpt2"].trace(TEXT).output is not None


@pytest.mark.parametrize("family", ["bert", "gpt2", "mistral", "bart", "t5", "bloom"])
def test_padded_batch_equals_the_text_alone(opened: dict[str, TextModel], family: str) -> None:
    lens = opened[family]
    target = TARGET if "cross" in FAMILIES[family][3] else None
    short, long = lens.trace_batch(["the cat sat", TEXT], [target, target])
    assert short.tokens[next(iter(short.tokens))].texts[-1] == "<pad>"
    assert short.verify().ok
    assert long.verify().ok
    for kind, attention in lens.trace("the cat sat", target=target).attentions.items():
        q, k = len(attention.query_tokens), len(attention.key_tokens)
        padded = short.attentions[kind].weights(1)
        np.testing.assert_allclose(padded[:, :q, :k], attention.weights(1), atol=1e-4)
        assert (padded[:, :q, k:] == 0).all()


def test_what_a_family_does_not_show_is_said(opened: dict[str, TextModel]) -> None:
    for family in OUTSIDE:
        notes = opened[family].trace("the cat").notes
        assert ("weights_only", FAMILIES[family][0]) in notes
        assert (("sinks", FAMILIES[family][0]) in notes) == (family == "gpt-oss")
    with pytest.raises(ValueError, match="does not show its query"):
        opened["xlnet"].trace(TEXT).attentions["encoder"].query(0)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_blank_text_is_refused(opened: dict[str, TextModel], text: str) -> None:
    with pytest.raises(InputError, match="empty"):
        opened["bert"].trace(text)


def test_too_long_text_is_refused_with_the_numbers(opened: dict[str, TextModel]) -> None:
    with pytest.raises(InputError, match="101 tokens; this model takes 48"):
        opened["bert"].trace("the " * 100)


def test_no_such_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="no-such"):
        model.load(str(tmp_path / "no-such"))


def test_as_many_tokens_as_fit_and_not_one_more(tmp_path: Path) -> None:
    pieces = tokenizer()
    pieces.model_max_length = 10**9
    for family, sizes in (
        ("GPT2", {"n_positions": 8, "n_embd": 32, "n_layer": 2, "n_head": 4}),
        ("Roberta", SMALL | {"max_position_embeddings": 9}),
    ):
        config = getattr(transformers, f"{family}Config")(vocab_size=len(pieces), **(SPECIAL | sizes))
        made = getattr(transformers, {"GPT2": "GPT2LMHeadModel", "Roberta": "RobertaForMaskedLM"}[family])(config)
        made.save_pretrained(tmp_path / family)
        pieces.save_pretrained(tmp_path / family)
        lens = model.load(str(tmp_path / family), "cpu")
        assert lens.max_tokens == 8
        full = lens.trace("the the the the the the the")
        assert len(full.tokens[next(iter(full.tokens))]) == 8
        assert not full.output
        with pytest.raises(InputError, match="9 tokens; this model takes 8"):
            lens.trace("the the the the the the the the")
    with pytest.raises(InputError, match="takes 8"):
        model.load(str(tmp_path / "GPT2"), "cpu").trace("the cat", target=[5] * 20)
    with pytest.raises(ValueError, match="no token 10000"):
        model.load(str(tmp_path / "GPT2"), "cpu").trace("the cat", target=[10_000])


def test_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    build("bert-base", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    assert model.load(str(tmp_path), "cpu").trace("the cat").logits is None
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ModelError, match="weights lack"):
        model.load(str(tmp_path), "cpu")
    for file in tmp_path.glob("token*"):
        file.unlink()
    with pytest.raises(ModelError, match="holds no tokenizer"):
        model.load(str(tmp_path), "cpu")


def test_a_forced_continuation_does_not_merge_with_the_prompt(opened: dict[str, TextModel]) -> None:
    trace = opened["gpt2"].trace("the c", target="at sat")
    assert trace.prompt_length == len(opened["gpt2"].trace("the c", target="").ids["decoder"])
    assert len(trace.ids["decoder"]) > trace.prompt_length
