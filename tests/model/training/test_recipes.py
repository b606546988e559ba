"""Each recipe's command trains a little, stops, goes on, and its files open and can be scored."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from model.training import describe, en_fr, moving_digits, python_source
from model.training.data.sources import Source

SHORT = ("--device", "cpu", "--steps", "3", "--warmup", "1", "--cooldown", "1", "--evaluate-every", "2")
CODE = "def area_{n}(width, height):\n    size = width * height + {n}\n    return size\n\n\n" * 3


def run(monkeypatch: pytest.MonkeyPatch, recipe: object, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["recipe", *map(str, words)])
    recipe.main()  # type: ignore[attr-defined]


def train(monkeypatch: pytest.MonkeyPatch, recipe: object, out: Path, *words: object) -> None:
    run(monkeypatch, recipe, *words, "--out", out, *SHORT, "--minutes", "0")
    assert not (out / "log.jsonl").exists()  # stopped after the first step
    run(monkeypatch, recipe, *words, "--out", out, *SHORT)
    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == [2, 3]


def test_describe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describe, "SIZES", {"test": 60, "validation": 50})
    table = tmp_path / "pairs.tsv"
    rows = (f"Tool{n} reads files of kind {n} and writes them.\treads files {n}\n" for n in range(400))
    table.write_text("".join(rows))
    options = ("--vocab-size", 120, "--tokens", 300, "--rebuilding", 1, "--windows", 1, "--sample", 4)
    train(monkeypatch, describe, tmp_path / "out", table, *options)
    (tmp_path / "few.tsv").write_text("".join(f"Tool{n} reads files.\treads files\n" for n in range(3)))
    run(monkeypatch, describe, table, "--out", tmp_path / "out", "--score", tmp_path / "few.tsv")
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert 0 <= scores["sample"]["rougeL"] <= 100
    assert len(scores["heads"]) == 24
    assert all(0 <= head["copied"] <= 1 and 0 <= head["copies"] <= 1 for head in scores["heads"])
    assert scores["descriptions"] >= 60
    assert scores["first_6_words"]["rougeL"] > 20
    assert (tmp_path / "out/model.safetensors").stat().st_size < 20e6


def test_en_fr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("model.translator.scoring.TEST_SENTENCES", 20)
    monkeypatch.setattr("model.translator.scoring.VALIDATION_SENTENCES", 20)
    table = tmp_path / "pairs.tsv"
    table.write_text("".join(f"Tom sees {n} cats at 2:30.\tTom voit {n} chats à 14 h 30.\n" for n in range(200)))
    options = ("--tokens", 300, "--sample", 4, "--start", "assets/en-fr")
    train(monkeypatch, en_fr, tmp_path / "out", table, *options)
    (tmp_path / "class.txt").write_text("Tom sees cats.\n\nI love you.\n")
    capsys.readouterr()
    run(monkeypatch, en_fr, "--out", tmp_path / "out", "--judge", tmp_path / "class.txt")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == " 1 Tom sees cats."
    assert len(lines) == 4
    start = ("--vocab-size", 120, "--tokens", 300, "--sample", 4)  # from scratch
    run(monkeypatch, en_fr, table, "--out", tmp_path / "new", *SHORT, "--minutes", "0", *start)
    assert json.loads((tmp_path / "new/config.json").read_text())["vocab_size"] <= 120


def test_moving_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(moving_digits, "TEST_CLIPS", 20)
    monkeypatch.setattr(moving_digits, "VALIDATION_CLIPS", 20)
    train(monkeypatch, moving_digits, tmp_path, "--clips", 1)
    run(monkeypatch, moving_digits, "--out", tmp_path, "--score")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert 0 <= scores["digits"] <= 100
    assert 0 < scores["track"]["chance"] < 1
    assert len(scores["track"]["share_of_each_time_head"]) == 3


def test_python_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [Source(f"p/m{n}.py", "p", "MIT", f"p:{n}", CODE.format(n=n)) for n in range(60)]
    parts = {"train": sources[4:], "validation": sources[:2], "test": sources[2:4]}
    monkeypatch.setattr(python_source, "collect", lambda requirements: sources)
    monkeypatch.setattr(python_source, "split", lambda found: parts)
    monkeypatch.setattr(python_source, "pinned", lambda requirements: {"p"})
    monkeypatch.setattr("model.training.python_score.SHORT", (200, 6000))
    options = ("--vocab-size", 300, "--rows", 2, "--context", 128, "--layers", 1)
    train(monkeypatch, python_source, tmp_path, *options)
    assert "train\tp\tMIT\tp/m9.py" in (tmp_path / "sources.tsv").read_text()
    run(monkeypatch, python_source, *options, "--out", tmp_path, "--score")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["modules"] == 2
    assert scores["sample"]["modules"] == ["p/m2.py", "p/m3.py"]
    assert scores["sample"]["bits_per_byte"] == pytest.approx(scores["bits_per_byte"], abs=1e-3)
    assert scores["bits_per_byte"] > 1
    assert 0 <= scores["induction_best"]["score"] <= 1
