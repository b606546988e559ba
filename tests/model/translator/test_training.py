"""The recipe: no leak between the parts, resumable, and what it saves can be opened."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
import torch

import model
from model.translator.tokenizer_training import train_tokenizer
from model.translator.training import batches, learning_rate, main, read_pairs, split
from model.translator.transformer import Config

PAIRS = [(f"I see {n} {thing}{end}", f"Je vois {n} {thing}.") for n in range(900) for thing, end in
         (("cats", "."), ("Cats", "!"), ("dogs", "."), ("dogs in town", "."), ("dogs, in town", "."))]  # fmt: skip


def test_parts_share_no_english_sentence_even_with_other_case_and_punctuation() -> None:
    parts = split(PAIRS)
    assert sum(map(len, parts.values())) == len(PAIRS)
    english = {name: {"".join(c for c in e.lower() if c.isalnum()) for e, _ in pairs} for name, pairs in parts.items()}
    assert english["test"]
    assert not english["train"] & english["test"]
    assert not english["train"] & english["validation"]
    assert split(PAIRS) == parts


def test_batches_hold_every_pair_once_within_the_limit() -> None:
    pairs = PAIRS[:200]
    tokenizer = train_tokenizer([side for pair in pairs for side in pair], 200)
    config = Config(tokenizer.get_vocab_size(), d_model=8, num_heads=2)
    rows = 0
    for source, target in batches(pairs, tokenizer, config, 256, random.Random(0)):
        rows += len(source)
        assert source.numel() + target.numel() <= 256
        assert (target[:, 0] == config.bos).all()
        assert all(row[row != config.pad][-1] == config.eos for row in source)
    assert rows == len(pairs)


def test_rate_rises_stays_and_falls_to_zero() -> None:
    rates = [learning_rate(step, total=100, peak=1.0, warmup=10, cooldown=50) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:50] == [1.0] * 41
    assert rates[75] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.02)


def test_a_line_without_a_tab_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_text("Hi.\tSalut.\nno tab here\n")
    with pytest.raises(ValueError, match=r"line 2.*no tab here"):
        read_pairs(tmp_path / "bad.tsv")


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Few pairs: the split would put all of them aside.
    monkeypatch.setattr("model.translator.training.TEST_SENTENCES", 20)
    monkeypatch.setattr("model.translator.training.VALIDATION_SENTENCES", 20)
    table = tmp_path / "pairs.tsv"
    table.write_text("".join(f"{english}\t{french}\n" for english, french in PAIRS[:300]))

    def train(folder: str, epochs: int) -> dict[str, torch.Tensor]:
        options = {"out": tmp_path / folder, "epochs": epochs, "cooldown": 0, "d-model": 16, "num-heads": 2, "d-ff": 16}
        options |= {"encoder-layers": 1, "decoder-layers": 1, "vocab-size": 120, "warmup": 5, "device": "cpu"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        monkeypatch.setattr(sys, "argv", ["train", str(table), *words])
        main()
        return model.load(str(tmp_path / folder)).module.state_dict()

    straight = train("straight", 2)
    train("resumed", 1)
    resumed = train("resumed", 2)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
