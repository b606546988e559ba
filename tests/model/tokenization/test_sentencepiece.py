"""Folders that hold SentencePiece models only, as Marian, T5 and XLNet were published."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import sentencepiece
import torch
import transformers

import model

ENGLISH = ["the cat sat on the mat because the cat was tired", "a mat was on the cat"]
FRENCH = ["le chat était assis sur le tapis parce que le chat était fatigué", "un tapis"]
SMALL = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}


def train(file: Path, lines: list[str], **options: object) -> list[str]:
    """Write a small SentencePiece model; returns its pieces."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 20),
        model_writer=made,
        vocab_size=70,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    file.write_bytes(made.getvalue())
    read = sentencepiece.SentencePieceProcessor(str(file))
    return [read.id_to_piece(i) for i in range(read.get_piece_size())]


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_marian_reads_each_side_with_its_own_model(tmp_path: Path) -> None:
    pieces = [*train(tmp_path / "source.spm", ENGLISH), *train(tmp_path / "target.spm", FRENCH)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(["</s>", "<unk>", *pieces, "<pad>"]))}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    settings = {"source_lang": "eng", "target_lang": "fra", "tokenizer_class": "MarianTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    last = len(vocabulary) - 1
    config = transformers.MarianConfig(
        vocab_size=len(vocabulary),
        d_model=32,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        pad_token_id=last,
        decoder_start_token_id=last,
        eos_token_id=0,
        forced_eos_token_id=None,
    )
    torch.manual_seed(0)
    transformers.MarianMTModel(config).save_pretrained(tmp_path)
    trace = model.load(str(tmp_path), "cpu").trace(ENGLISH[0], target="le chat était fatigué")
    assert trace.verify().ok
    assert trace.output == "le chat était fatigué"
    for stack, text, file in (
        ("encoder", ENGLISH[0], "source.spm"),
        ("decoder", "le chat était fatigué", "target.spm"),
    ):
        tokens = trace.tokens[stack]
        expected = sentencepiece.SentencePieceProcessor(str(tmp_path / file)).encode(text, out_type=str)
        assert [raw for raw, special in zip(tokens.raw, tokens.special, strict=True) if not special] == expected
        assert not any("▁" in label for label in tokens.texts)
        assert "".join(tokens.word_parts).replace("<pad>", "").replace("</s>", "") == text.replace(" ", "")


@pytest.mark.parametrize("family", ["t5", "xlnet"])
def test_a_folder_with_spiece_model_alone_opens(tmp_path: Path, family: str) -> None:
    torch.manual_seed(0)
    if family == "t5":
        train(tmp_path / "spiece.model", ENGLISH, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
        config = transformers.T5Config(vocab_size=200, decoder_start_token_id=0, **SMALL)
        transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    else:
        train(tmp_path / "spiece.model", ENGLISH, user_defined_symbols=["<sep>", "<pad>", "<cls>", "<mask>"])
        config = transformers.XLNetConfig(vocab_size=100, d_model=32, n_layer=2, n_head=4, d_inner=37)
        transformers.XLNetLMHeadModel(config).save_pretrained(tmp_path)
    trace = model.load(str(tmp_path), "cpu").trace(ENGLISH[0], target="the mat" if family == "t5" else None)
    assert trace.verify().ok
    tokens = trace.tokens["encoder"]
    assert any(raw.startswith("▁") for raw in tokens.raw)
    assert not any("▁" in label or "/" in label for label in tokens.texts if not label.startswith("<"))
    typed = [add for add, special in zip(tokens.word_parts, tokens.special, strict=True) if not special]
    assert "".join(typed) == ENGLISH[0].replace(" ", "")
    assert tokens.texts[-1] == ("</s>" if family == "t5" else "<cls>")
