"""Texts as the model was trained to read them: marks, pairs, chat turns, proteins, output languages, limits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

import model
from model.errors import InputError
from model.trace.decoding import Decoding
from model.trace.typed_text import TypedText
from tests.model.huggingface.small_models import save
from tests.model.huggingface.test_families import GROUPED, PAIR, SMALL, SPECIAL, TEXT, tokenizer
from tests.model.huggingface.test_layer_kinds import opened


def test_marks_typed_by_hand_are_the_marks_unless_they_are_spelled_out(tmp_path: Path) -> None:
    lens = opened(tmp_path, "BertForMaskedLM", "BertConfig", SMALL)
    typed = "the cat <mask> on the mat"
    assert list(lens.trace(typed).ids["encoder"]) == lens.tokenizer(typed)["input_ids"]
    assert "<mask>" in lens.trace(typed).tokens["encoder"].texts
    assert lens.tokenizer.mask_token_id not in lens.trace(typed, marks=False).ids["encoder"]


def test_ids_are_the_tokenizers_own_on_plain_text(tmp_path: Path) -> None:
    lens = opened(tmp_path, "BertForMaskedLM", "BertConfig", SMALL)
    for text in (TEXT, "a  b\tc", "le chat était assis"):
        assert list(lens.trace(text).ids["encoder"]) == lens.tokenizer(text)["input_ids"]


def test_a_slow_tokenizer_reads_a_protein_residue_by_residue(tmp_path: Path) -> None:
    words = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCX", "<mask>"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    pieces = transformers.EsmTokenizer(str(tmp_path / "vocab.txt"))
    config = transformers.EsmConfig(
        vocab_size=26, pad_token_id=1, mask_token_id=25, position_embedding_type="rotary", **SMALL
    )
    torch.manual_seed(0)
    transformers.EsmForMaskedLM(config).save_pretrained(tmp_path)
    pieces.save_pretrained(tmp_path)
    trace = model.load(str(tmp_path), device="cpu").trace("MKTAY")
    assert list(trace.ids["encoder"]) == pieces("MKTAY")["input_ids"]
    assert len(trace.ids["encoder"]) == 7
    noted = model.load(str(tmp_path), device="cpu").trace("mkt AY")  # small letters stand for no residue
    assert ("unknown", "mkt") in noted.notes


def test_bytes_of_one_character_are_read_as_that_character(tmp_path: Path) -> None:
    torch.manual_seed(3)
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    pieces = transformers.ByT5Tokenizer()
    save(transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=384, **sizes)), tmp_path, pieces)
    lens = model.load(str(tmp_path), device="cpu")
    trace = lens.trace("aé€ b", target="b")
    assert trace.ids["encoder"] == tuple(pieces("aé€ b")["input_ids"])
    labels = [label.removeprefix("·") for label in trace.tokens["encoder"].texts]
    assert labels == ["a", "é 1/2", "é 2/2", "€ 1/3", "€ 2/3", "€ 3/3", "␣", "b", "</s>"]
    assert lens.labels([3 + 0xC3]) == ("‹C3›",)  # alone it is no character
    assert trace.verify().ok


def test_a_pair_has_the_ids_and_types_of_the_tokenizer(tmp_path: Path) -> None:
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "the", "sat"]))
    pieces = transformers.BertTokenizerFast(str(vocab))
    torch.manual_seed(0)
    made = transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=len(pieces), **SMALL))
    made.save_pretrained(tmp_path)
    pieces.save_pretrained(tmp_path)
    lens = model.load(str(tmp_path), device="cpu")
    trace, expected = lens.trace("a cat", pair="the dog sat"), pieces("a cat", "the dog sat")
    assert list(trace.ids["encoder"]) == expected["input_ids"]
    given = {name: torch.tensor([ids]) for name, ids in expected.items()}
    best = float(lens.module(**given).logits.detach().softmax(-1).max())
    assert trace.classes is not None
    assert trace.classes[0][1] == pytest.approx(best, abs=1e-5)  # only so with the right token types
    assert trace.tokens["encoder"].texts == ("[CLS]", "a", "cat", "[SEP]", "the", "dog", "sat", "[SEP]")


def test_a_chat_turn_follows_the_template(tmp_path: Path) -> None:
    lens = opened(tmp_path, "LlamaForCausalLM", "LlamaConfig", GROUPED)
    with pytest.raises(InputError, match="no chat template"):
        lens.trace(TEXT, chat=True)
    lens.tokenizer.chat_template = "<s> the {{ messages[0]['content'] }} </s>"
    expected = lens.tokenizer("<s> the a cat </s>", add_special_tokens=False)["input_ids"]
    assert list(lens.trace("a cat", chat=True).ids["decoder"]) == expected


def test_the_output_begins_with_the_token_that_the_model_forces(tmp_path: Path) -> None:
    pieces = tokenizer()
    torch.manual_seed(3)
    config = transformers.M2M100Config(vocab_size=len(pieces), **(SPECIAL | PAIR | {"max_position_embeddings": 64}))
    made = transformers.M2M100ForConditionalGeneration(config)
    made.generation_config.forced_bos_token_id = 9
    made.save_pretrained(tmp_path)
    pieces.save_pretrained(tmp_path)
    trace = model.load(str(tmp_path), device="cpu").trace(TEXT)
    expected = made.eval().generate(torch.tensor([trace.ids["encoder"]]), num_beams=1, do_sample=False, max_length=8)
    assert list(trace.ids["decoder"][:8]) == expected[0].tolist()[: len(trace.ids["decoder"])]
    assert trace.ids["decoder"][1] == 9


def test_a_token_without_a_vector_is_named(tmp_path: Path) -> None:
    lens = opened(tmp_path, "BertForMaskedLM", "BertConfig", SMALL)
    lens.tokenizer.add_tokens(["zebra"])
    with pytest.raises(InputError, match="'zebra'"):
        lens.trace("the zebra sat")


def test_a_forced_token_without_a_vector_is_named(tmp_path: Path) -> None:
    lens = opened(tmp_path, "BartForConditionalGeneration", "BartConfig", PAIR)
    lens.tokenizer.add_tokens(["zebra"])
    with pytest.raises(InputError, match="'zebra'"):
        lens.trace("the cat sat", target="le zebra")
    with pytest.raises(InputError, match="'zebra'"):
        lens.decode("the zebra sat", Decoding())


def test_a_limit_of_our_own_is_told_as_ours(tmp_path: Path) -> None:
    lens = opened(tmp_path, "LlamaForCausalLM", "LlamaConfig", {**GROUPED, "max_position_embeddings": 131072})
    lens.tokenizer.model_max_length = 10**30
    lens.model_max_tokens, lens.max_tokens = 131072, 2048
    with pytest.raises(InputError, match=r"takes 131072, but Headlight reads at most 2048"):
        lens.trace("the " * 2100)
    lens.model_max_tokens = 10**30
    with pytest.raises(InputError, match="names no limit, but Headlight reads at most 2048"):
        lens.trace("the " * 2100)


def test_added_marks_are_spelled_out_too_and_words_stay_words(tmp_path: Path) -> None:
    lens = opened(tmp_path, "BertForMaskedLM", "BertConfig", SMALL)
    lens.tokenizer.add_tokens(["[E1]", "zebra"])
    lens.module.resize_token_embeddings(len(lens.tokenizer))
    mark, word = lens.tokenizer.convert_tokens_to_ids(["[E1]", "zebra"])
    read, spelled = (lens.trace("the [E1] zebra sat", marks=marks).ids["encoder"] for marks in (True, False))
    assert {mark, word} <= set(read)
    assert mark not in spelled
    assert word in spelled


def test_only_models_that_read_take_a_second_sentence(tmp_path: Path) -> None:
    reads = opened(tmp_path / "a", "BertForMaskedLM", "BertConfig", SMALL)
    assert not reads.choices.pairs  # this tokenizer puts no mark between two sentences
    assert "<mask>" in reads.choices.marks
    writes = opened(tmp_path / "b", "LlamaForCausalLM", "LlamaConfig", GROUPED)
    assert (writes.choices.pairs, writes.choices.chat) == (False, False)


def test_what_is_chosen_holds_for_every_way_to_ask(tmp_path: Path) -> None:
    lens = opened(tmp_path, "LlamaForCausalLM", "LlamaConfig", GROUPED)
    lens.tokenizer.chat_template = "<s> the {{ messages[0]['content'] }} </s>"
    chat = TypedText("a cat", chat=True)
    trace = lens.trace_batch([chat], [None])[0]
    assert trace.text == "a cat"
    found = lens.logit_lens(chat, None)
    assert found is not None
    assert found[0].shape[1] == len(trace.ids["decoder"])
    greedy = lens.decode(chat, Decoding(max_new_tokens=3)).ids
    assert greedy[0] == int(trace.logits[-1].argmax())
    assert lens.head_effects(chat, greedy)[0]["decoder"].shape == (2, 4)
