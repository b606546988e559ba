"""Splits without leaks, batches, ROUGE on cases worked out by hand, cut-up words."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from model.training.data.subwords import Splitter
from model.training.data.text import grouped_split, pair_batches, save, words_of
from model.training.data.tokenizer_training import train_tokenizer
from model.training.describe import SIZES, beginnings, rename, window
from model.training.rouge import rouge, rouge_l, rouge_n
from model.translator.transformer import Config, Transformer
from model.translator.translator import Translator

ROWS = [
    (f"Tool{n} reads files of kind {n} and writes them again. This package holds {part}.", f"reads files {n} ({part})")
    for n in range(400)
    for part in ("the program", "the library", "the headers")
]


def test_descriptions_of_one_program_stay_in_one_part() -> None:
    parts = grouped_split(ROWS, beginnings, {"test": 150, "validation": 60}, seed=1)
    assert sum(map(len, parts.values())) == len(ROWS)
    starts = {name: {" ".join(words_of(source)[:8]) for source, _ in rows} for name, rows in parts.items()}
    assert 150 <= len(parts["test"]) <= 153
    assert not starts["test"] & starts["train"]
    assert not starts["validation"] & starts["train"]
    assert parts == grouped_split(ROWS, beginnings, {"test": 150, "validation": 60}, seed=1)


def test_rows_that_share_a_key_over_a_third_row_stay_together() -> None:
    rows = [("a", "1"), ("b", "1"), ("b", "2"), ("c", "3")]
    parts = grouped_split(rows * 50, lambda row: (f"x{row[0]}", f"y{row[1]}"), {"test": 2500}, seed=0)
    for rows_of_part in parts.values():
        assert len({row[0] in "ab" for row in rows_of_part}) <= 1


def test_a_group_that_would_be_much_of_a_part_is_trained_on() -> None:
    rows = [("same beginning", str(n)) for n in range(100)] + [(f"own {n}", f"s{n}") for n in range(100)]
    parts = grouped_split(rows, lambda row: (row[0],), {"test": 50}, seed=0)
    assert not any(source == "same beginning" for source, _ in parts["test"])


def test_the_sizes_of_the_summarizer_leave_most_to_train_on() -> None:
    assert set(SIZES) == {"test", "validation"}
    assert sum(SIZES.values()) == 2000


def test_batches_hold_every_example_once_within_the_limit() -> None:
    config = Config(50)
    rng = random.Random(0)
    examples = [([5] * rng.randint(1, 20), [6] * rng.randint(1, 9)) for _ in range(200)]
    rows = 0
    for source, target in pair_batches(examples, config, 256, rng):
        rows += len(source)
        assert source.numel() + target.numel() <= 256
        assert (target[:, 0] == config.bos).all()
        assert all(row[row != config.pad][-1] == config.eos for row in (*source, *target))
    assert rows == 200


def test_rouge_of_cases_worked_out_by_hand() -> None:
    # Words: "fast mail reader" and "a fast reader for mail". Shared: fast, mail, reader; 3 of 3 and 3 of 5.
    assert rouge_n("Fast mail reader", "a fast reader for mail.", 1) == pytest.approx(2 * 1 * 0.6 / 1.6)
    # No pair of neighbours is shared; the longest common subsequence is "fast reader" or "fast mail".
    assert rouge_n("Fast mail reader", "a fast reader for mail.", 2) == 0
    assert rouge_l("Fast mail reader", "a fast reader for mail.") == pytest.approx(2 * 2 / (3 + 5))
    # A word counts as often as it stands on both sides.
    assert rouge_n("the the the", "the cat", 1) == pytest.approx(2 * 1 / (3 + 2))
    assert rouge_l("", "anything") == 0
    assert rouge(["a b"], ["a b"]) == {"rouge1": 100.0, "rouge2": 100.0, "rougeL": 100.0}


def test_a_window_loses_words_on_one_side_only_and_keeps_their_order() -> None:
    text = " ".join(f"w{n}" for n in range(60))
    rng = random.Random(3)
    shares = []
    for _ in range(200):
        some, whole = window(text, 6, 18, 0.2, rng)
        words = whole.split()
        assert whole in text
        assert 6 <= len(words) <= 18
        left = iter(words)
        assert all(word in left for word in some.split())  # a subsequence
        shares.append(len(some.split()) / len(words))
    assert sum(shares) / len(shares) == pytest.approx(0.8, abs=0.03)


def test_a_renamed_example_has_the_new_name_on_both_sides() -> None:
    pair = ("xterm is a terminal. Use xterm well.", "terminal named xterm")
    source, target = rename(pair, {"xterm"}, ["gnuplot"], random.Random(0))
    assert source == "gnuplot is a terminal. Use gnuplot well."
    assert target == "terminal named gnuplot"
    assert rename(("xterm is a terminal.", "a terminal"), {"xterm"}, ["gnuplot"], random.Random(0))[0][:5] == "xterm"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([side for row in ROWS for side in row], 150)


def test_cut_up_words_say_the_same_and_without_dropout_are_those_of_the_tokenizer(tokenizer: Tokenizer) -> None:
    splitter, rng = Splitter(tokenizer), random.Random(0)
    text = "Tool7 reads the headers again. This reads them @ again."
    assert splitter.encode(text, 0.0, rng) == tokenizer.encode(text).ids
    cut = splitter.encode(text, 0.5, rng)
    assert len(cut) > len(tokenizer.encode(text).ids)
    known = text.replace("@ ", "")
    assert tokenizer.decode(splitter.encode(known, 0.5, rng)) == known
    assert splitter.encode(text, 0.5, random.Random(1)) == splitter.encode(text, 0.5, random.Random(1))


def test_the_app_opens_what_is_saved(tmp_path: Path, tokenizer: Tokenizer) -> None:
    config = Config(tokenizer.get_vocab_size(), d_model=16, num_heads=2, d_ff=16, encoder_layers=1, decoder_layers=1)
    save(Transformer(config), tokenizer, tmp_path)
    lens = Translator.open(tmp_path, "cpu")
    assert lens.translate(["Tool7 reads"])
    assert lens.config == config


def test_weights_too_large_for_half_precision_are_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    module = Transformer(Config(20, d_model=8, num_heads=2, d_ff=8, encoder_layers=1, decoder_layers=1))
    with torch.no_grad():
        module.embedding.weight[3, 3] = 1e6
    with pytest.raises(ValueError, match="embedding"):
        save(module, tokenizer, tmp_path)
