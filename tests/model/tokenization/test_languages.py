"""Languages of multilingual models: which there are, where they are read, and what is written first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models

import model
from model.errors import InputError
from model.huggingface.loading.weights import decoder_start_id
from tests.model.huggingface.test_families import PAIR, SPECIAL

WORDS = ["<s>", "<pad>", "</s>", "<unk>", "▁the", "▁cat", "▁sat", "▁le", "▁chat", "▁", "t", "h", "e"]
SIZES = {**SPECIAL, **PAIR, "pad_token_id": 1, "bos_token_id": 0, "max_position_embeddings": 64}


def pieces(kind: str, folder: Path) -> Any:
    """A small tokenizer of a multilingual family, with the codes of all its languages."""
    if kind == "M2M100":
        import json

        import sentencepiece

        corpus = folder / "corpus.txt"
        corpus.write_text("the cat sat on the mat\nle chat est assis sur le tapis\n" * 40)
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=str(folder / "spm"), vocab_size=24, minloglevel=2, hard_vocab_limit=False
        )
        processor = sentencepiece.SentencePieceProcessor(str(folder / "spm.model"))
        known = [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]
        (folder / "v.json").write_text(
            json.dumps({w: i for i, w in enumerate(["<s>", "<pad>", "</s>", "<unk>", *known])})
        )
        return transformers.M2M100Tokenizer(
            str(folder / "v.json"), str(folder / "spm.model"), src_lang="en", tgt_lang="fr"
        )
    made = getattr(transformers, f"{kind}Tokenizer")
    if kind == "Nllb":
        return made(vocab={word: i for i, word in enumerate(WORDS)}, merges=[], src_lang="eng_Latn")
    return made(vocab=[(word, -float(i)) for i, word in enumerate(WORDS)], src_lang="en_XX")


def opened(kind: str, module: str, config: str, folder: Path, **settings: Any) -> Any:
    tokenizer = pieces(kind, folder)
    torch.manual_seed(3)
    made = getattr(transformers, module)(
        getattr(transformers, config)(vocab_size=len(tokenizer) + 200, **(SIZES | settings))
    )
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.load(str(folder), device="cpu")


CASES = {
    "M2M100": ("M2M100ForConditionalGeneration", "M2M100Config", "en", "fr", "de"),
    "Nllb": ("M2M100ForConditionalGeneration", "M2M100Config", "eng_Latn", "fra_Latn", "deu_Latn"),
    "MBart50": ("MBartForConditionalGeneration", "MBartConfig", "en_XX", "fr_XX", "de_DE"),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_chosen_languages_are_read_and_written(tmp_path: Path, kind: str) -> None:
    module, config, source, target, other = CASES[kind]
    lens = opened(kind, module, config, tmp_path)
    choices, tokenizer = lens.choices, lens.tokenizer
    assert {source, target, other} <= set(choices.target_languages)
    assert choices.source == source
    token = (lambda code: tokenizer.get_lang_id(code)) if kind == "M2M100" else tokenizer.convert_tokens_to_ids
    trace = lens.trace("the cat", source_language=other, target_language=target)
    tokenizer.src_lang = other
    assert list(trace.ids["encoder"]) == tokenizer("the cat")["input_ids"]
    assert token(other) in trace.ids["encoder"]
    tokenizer.src_lang = source
    expected = lens.module.generate(
        torch.tensor([trace.ids["encoder"]]),
        num_beams=1,
        do_sample=False,
        max_length=6,
        forced_bos_token_id=token(target),
    )
    assert list(trace.ids["decoder"][:6]) == expected[0].tolist()[: len(trace.ids["decoder"][:6])]
    assert trace.ids["decoder"][1] == token(target)
    assert token(source) in lens.trace("the cat").ids["encoder"]  # what was chosen before is forgotten
    assert lens.trace("the cat", target="le chat", target_language=target).ids["decoder"][1] == token(target)
    with pytest.raises(InputError, match="does not write"):
        lens.trace("the cat", target_language="tlh_Piqd")


def test_where_the_decoder_starts_with_the_language_the_chosen_one_stands_there(tmp_path: Path) -> None:
    tokenizer = pieces("MBart", tmp_path)
    start, french = (tokenizer.convert_tokens_to_ids(code) for code in ("ro_RO", "fr_XX"))
    folder = tmp_path / "model"
    folder.mkdir()
    lens = opened("MBart", "MBartForConditionalGeneration", "MBartConfig", folder, decoder_start_token_id=start)
    assert lens.choices.target == "ro_RO"
    assert lens.trace("the cat").ids["decoder"][0] == start
    assert lens.trace("the cat", target_language="fr_XX").ids["decoder"][0] == french


def test_a_model_without_language_tokens_offers_none(tmp_path: Path) -> None:
    words = Tokenizer(models.WordLevel({"<unk>": 0, "<pad>": 1, "</s>": 2, "the": 3}, unk_token="<unk>"))
    plain = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    transformers.BartForConditionalGeneration(transformers.BartConfig(vocab_size=4, **SIZES)).save_pretrained(tmp_path)
    plain.save_pretrained(tmp_path)
    lens = model.load(str(tmp_path), device="cpu")
    assert (lens.languages, lens.choices.target_languages) == (None, ())


def test_the_settings_of_generation_say_where_the_decoder_starts(tmp_path: Path) -> None:
    made = transformers.BartForConditionalGeneration(transformers.BartConfig(vocab_size=30, **SIZES))
    tokenizer = type("Pieces", (), {"bos_token_id": 7})()
    made.generation_config.decoder_start_token_id = 9
    assert decoder_start_id(made, tokenizer) == 9
    made.generation_config.decoder_start_token_id = [5, 6]
    assert decoder_start_id(made, tokenizer) == 5
    made.generation_config.decoder_start_token_id = None
    assert decoder_start_id(made, tokenizer) == PAIR["decoder_start_token_id"]


def test_seamless_writes_the_chosen_language(tmp_path: Path) -> None:
    languages = ["__eng__", "__fra__", "__deu__"]
    vocabulary = {word: i for i, word in enumerate([*WORDS, *languages])}
    tokenizer = transformers.SeamlessM4TTokenizer(
        vocab=vocabulary, merges=[], src_lang="eng", tgt_lang="fra", additional_special_tokens=languages
    )
    sizes = {"hidden_size": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 37}
    sizes |= {"decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 37, "max_position_embeddings": 64}
    sizes |= {"decoder_start_token_id": 2, "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}
    torch.manual_seed(3)
    made = transformers.SeamlessM4TForTextToText(transformers.SeamlessM4TConfig(vocab_size=len(tokenizer), **sizes))
    made.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    lens = model.load(str(tmp_path), device="cpu")
    assert set(lens.choices.target_languages) == set(languages)
    assert (lens.choices.source, lens.choices.target) == ("__eng__", "__fra__")
    trace = lens.trace("the cat", source_language="__deu__", target_language="__fra__")
    assert lens.tokenizer.convert_tokens_to_ids("__deu__") in trace.ids["encoder"]
    ids = {one: lens.tokenizer.convert_tokens_to_ids(f"__{one}__") for one in ("eng", "fra", "deu")}
    lens.module.generation_config.text_decoder_lang_to_code_id = ids
    expected = lens.module.generate(
        input_ids=torch.tensor([trace.ids["encoder"]]), tgt_lang="fra", num_beams=1, do_sample=False, max_length=6
    )
    assert list(trace.ids["decoder"][:6]) == expected[0].tolist()[: len(trace.ids["decoder"][:6])]
    assert trace.ids["decoder"][1] == ids["fra"]
