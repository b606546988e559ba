"""The decoder alone: it is the paper's decoder without encoder-decoder attention, and its figures are right."""

from __future__ import annotations

import argparse
import math
import random
from pathlib import Path

import pytest
import torch

from model.attention.record import record
from model.training.data.sources import Source, collect, is_free, is_wanted, split
from model.training.data.text import save
from model.training.data.tokenizer_training import SPECIALS
from model.training.python_score import IGNORED, bits_per_byte, completions, induction, parses, statements
from model.training.python_source import PythonSource, stream, train_code_tokenizer
from model.translator.decoder_only import DecoderOnly
from model.translator.transformer import Config, KeyValueCache, Transformer

IDS = torch.tensor([[1, 5, 6, 7, 8, 9, 6, 12], [1, 10, 6, 4, 11, 13, 9, 9]])
CODE = (
    "import os\n\n\ndef area(width, height):\n"
    '    """Width times height."""\n    size = width * height\n    return size\n'
)


@pytest.fixture(scope="module")
def alone() -> DecoderOnly:
    torch.manual_seed(0)
    config = Config(50, d_model=16, num_heads=4, encoder_layers=0, decoder_layers=2, d_ff=32, max_tokens=64)
    return DecoderOnly(config).eval()


def test_equals_the_full_decoder_whose_cross_attention_adds_nothing(alone: DecoderOnly) -> None:
    full = Transformer(alone.config).eval()
    missing, unexpected = full.load_state_dict(
        {name.replace("norm_2", "norm_3"): tensor for name, tensor in alone.state_dict().items()}, strict=False
    )
    assert not unexpected
    assert all("cross_attention" in name or "norm_2" in name for name in missing)
    for layer in full.decoder:
        torch.nn.init.zeros_(layer.cross_attention.w_o.weight)
        torch.nn.init.zeros_(layer.cross_attention.w_o.bias)
    memory, mask = torch.randn(2, 3, 16), torch.ones(2, 1, 1, 3, dtype=torch.bool)
    with torch.no_grad(), record() as kept, record() as kept_full:
        expected = full.project(full.decode(IDS, memory, mask)[-1])
    with torch.no_grad(), record() as kept:
        logits = alone(IDS)
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)  # norm_2 of a normed vector divides by √(1 + ε)
    for layer in range(2):
        weights = kept.call("decoder", layer).weights_tensor()
        torch.testing.assert_close(weights, kept_full.call("decoder", layer).weights_tensor(), atol=1e-4, rtol=1e-3)
        assert weights.triu(1).count_nonzero() == 0


def test_the_future_changes_nothing(alone: DecoderOnly) -> None:
    other = IDS.clone()
    other[:, 5:] = 20
    with torch.no_grad():
        torch.testing.assert_close(alone(IDS)[:, :5], alone(other)[:, :5])


def test_token_by_token_equals_all_at_once(alone: DecoderOnly) -> None:
    past = KeyValueCache()
    with torch.no_grad():
        steps = [alone.project(alone.decode(IDS[:, : n + 1], past)[-1]) for n in range(IDS.shape[1])]
        torch.testing.assert_close(torch.cat(steps, dim=1), alone(IDS), atol=1e-5, rtol=1e-4)


def test_completion_is_the_likeliest_token_again_and_again(alone: DecoderOnly) -> None:
    ids = [1, 5, 6]
    for _ in range(4):
        ids.append(int(alone(torch.tensor([ids]))[0, -1].argmax()))
    assert alone.complete([1, 5, 6], frozenset(), 4) == ids[3:]
    assert alone.complete([1, 5, 6], frozenset([ids[3]]), 4) == []


def test_saved_and_opened_it_is_the_same(alone: DecoderOnly, tmp_path: Path) -> None:
    save(alone, train_code_tokenizer([CODE], 300), tmp_path)
    opened = DecoderOnly.open(tmp_path)
    torch.testing.assert_close(opened(IDS), alone(IDS), atol=1e-2, rtol=1e-2)


def test_the_tokenizer_gives_back_every_text() -> None:
    tokenizer = train_code_tokenizer([CODE] * 3, 300)
    for text in (CODE, "x = 'é€'\n\n\n\tif  a:\r\n  pass </s>", " leading"):
        tokenizer.encode_special_tokens = True
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert "\n    " in {tokenizer.decode([i]) for i in tokenizer.encode(CODE).ids}


def test_bits_per_byte_count_every_token_once() -> None:
    tokenizer = train_code_tokenizer([CODE], 300)
    config = Config(tokenizer.get_vocab_size(), d_model=8, num_heads=2, decoder_layers=1, d_ff=8, max_tokens=10)
    module = DecoderOnly(config).eval()
    torch.nn.init.zeros_(module.embedding.weight)  # all tokens alike: log2 of their number, each
    tokens = sum(len(tokenizer.encode(text).ids) for text in (CODE, "x = 1\n"))
    wanted = tokens * math.log2(config.vocab_size) / len((CODE + "x = 1\n").encode())
    assert bits_per_byte(module, tokenizer, [CODE, "x = 1\n"]) == pytest.approx(wanted, rel=1e-4)


def test_bits_per_byte_are_those_of_one_window_where_a_text_fits() -> None:
    tokenizer = train_code_tokenizer([CODE], 300)
    torch.manual_seed(1)
    config = Config(tokenizer.get_vocab_size(), d_model=8, num_heads=2, decoder_layers=1, d_ff=8, max_tokens=256)
    module = DecoderOnly(config).eval()
    ids = tokenizer.encode(CODE).ids
    with torch.no_grad():
        logits = module(torch.tensor([[config.bos, *ids[:-1]]]))[0]
    nats = torch.nn.functional.cross_entropy(logits, torch.tensor(ids), reduction="sum").item()
    assert bits_per_byte(module, tokenizer, [CODE]) == pytest.approx(nats / math.log(2) / len(CODE), rel=1e-4)


def test_a_head_that_looks_nowhere_in_particular_is_no_induction_head(alone: DecoderOnly) -> None:
    scores = induction(alone, length=20)
    assert len(scores) == 2
    assert len(scores[0]) == 4
    assert all(0 < score < 0.15 for row in scores for score in row)


@pytest.mark.parametrize(
    ("source", "right"),
    [("x = 1\n", True), ("x = (1,\n", True), ("def f():\n", True), ("x = )\n", False), ("else:\n", False)],
)
def test_a_beginning_parses_and_an_error_does_not(source: str, right: bool) -> None:
    assert parses(source) is right


def test_statements_are_whole_lines() -> None:
    assert statements(CODE) == [5, 6]  # not the docstring's line 4, which is among the first five


def test_completed_lines_are_judged_in_their_module(alone: DecoderOnly) -> None:
    tokenizer = train_code_tokenizer([CODE], 300)
    config = Config(tokenizer.get_vocab_size(), d_model=8, num_heads=2, decoder_layers=1, d_ff=8, max_tokens=128)
    lines = completions(DecoderOnly(config).eval(), tokenizer, [CODE], count=2)
    assert len(lines) == 2
    assert all(str(line["given"]) + str(line["written"]) in CODE for line in lines)


def recipe(context: int) -> PythonSource:
    config = Config(200, max_tokens=context, encoder_layers=0)
    args = argparse.Namespace(seed=1, rows=4, repeated=0.1)
    ids = torch.arange(4, 4 + 10_000, dtype=torch.int32)
    return PythonSource(ids, [], train_code_tokenizer([CODE], 300), config, args)


def test_windows_predict_the_next_token_behind_a_start_mark() -> None:
    for ids, wanted in recipe(300).batches(0):
        assert (ids[:, 0] == 1).all()
        for row, after in zip(ids, wanted, strict=True):
            real = after != IGNORED
            assert torch.equal(row[1:][real[:-1]], after[:-1][real[:-1]])


def test_eight_rounds_read_every_window_once() -> None:
    source = recipe(50)
    firsts = [int(row[0]) for n in range(8) for _, wanted in source.batches(n) for row in wanted if row[0] != IGNORED]
    assert len(firsts) == len(set(firsts))
    assert len(firsts) > 150


def test_of_repeated_tokens_only_the_repetitions_are_to_be_predicted() -> None:
    ids, wanted = recipe(300).repeated(random.Random(0))
    length = int((wanted == IGNORED).sum()) - 1
    assert torch.equal(wanted[length + 1 :], ids[2 : 301 - length])
    assert ids.min() >= 1
    assert ids[1:].min() >= len(SPECIALS)


def test_a_stream_marks_where_a_module_starts() -> None:
    tokenizer = train_code_tokenizer([CODE], 300)
    ids = stream(tokenizer, [CODE, "x = '</s>'\n"], Config(300))
    assert (ids == 1).sum() == 2
    assert not (ids == 2).any()


def source(name: str, text: str) -> Source:
    return Source(f"pack/{name}/a.py", "pack", "MIT", f"pack:{name}", text)


def test_a_module_with_the_lines_of_a_held_out_one_is_left_out() -> None:
    own = [
        source(f"m{n}", "\n".join(f"value_{n}_{i} = compute_the_value({n}, {i})" for i in range(400)))
        for n in range(99)
    ]
    parts = split(own)
    assert parts["test"]
    assert sum(map(len, parts.values())) == 99
    copy = source("copied", parts["test"][0].text + "\nx = 1\n")
    again = split([*own, copy])
    assert copy not in again["train"]
    assert not {s.group for s in again["train"]} & {s.group for s in again["test"]}


def test_licences_and_tests_are_told_apart() -> None:
    assert all(map(is_free, ("MIT", "Apache-2.0", "BSD-3-Clause", "Apache Software License", "MIT-CMU")))
    assert not any(map(is_free, ("LGPL-3.0-only", "MPL-2.0 AND MIT", "PSF-2.0", "", "GPL-2.0 OR MIT")))
    assert is_wanted(Path("json/decoder.py"))
    assert not any(
        is_wanted(Path(p)) for p in ("json/tests/a.py", "test/b.py", "a/test_b.py", "b.pyi", "a/_vendor/c.py")
    )


def test_the_sources_of_this_environment_can_be_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.training.data.sources.modules", lambda: [("python", "PSF-2.0", tmp_path, Path("a.py"))])
    (tmp_path / "a.py").write_text(CODE * 10)
    (tmp_path / "none.txt").write_text("safetensors # a package\nno-such-package-here==1\n")
    found = collect(tmp_path / "none.txt")
    assert [s.name for s in found if s.package == "python"] == ["python/a.py"]
    assert {s.package for s in found} <= {"python", "safetensors"}
