"""Hostile folders of every kind, each opened in a child with limits: none ends in anything but a sentence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.kinds import KINDS, change
from tests.hostile.odd_settings import OF_LLAMA, PROCESSORS
from tests.hostile.opening import GIGABYTE, SECONDS
from tests.model.huggingface import test_families, test_vision

# Names of Python, sizes of tensors and places on the disk, none of which says anything to a pupil.
UNREADABLE = re.compile(
    r"Error\b|Exception|Traceback|NoneType|torch\.|transformers\.|size mismatch|\[\d+, \d+\]|\w+\(\)|site-packages"
)
# What the limits of the trial stop: the server says so in a sentence of its own (tests/model/catalog/test_trial.py).
STOPPED = {
    "a tokenizer that doubles letters",
    "a normalizer that makes each letter 50,000",
    "a pattern that goes back and forth",
}
ALL = (*KINDS, *OF_LLAMA, *PROCESSORS)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """How each folder ends."""
    folders: dict[str, Path] = {}
    for name in ALL:
        folder = folders[name] = tmp_path_factory.mktemp("hostile")
        if name in KINDS:
            test_families.build("gpt2", folder)
            KINDS[name](folder)
        elif name in OF_LLAMA:
            test_families.build("llama", folder)
            change(folder, "config.json", **OF_LLAMA[name])
        else:
            test_vision.build("vit", folder)
            change(folder, "preprocessor_config.json", **PROCESSORS[name])
    command = [sys.executable, "-m", "tests.hostile.opening", *map(str, folders.values())]
    lines = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    found = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    return {
        name: one | {"ran": (folder / "ran").exists(), "place": str(folder.parent)}
        for (name, folder), one in zip(folders.items(), found, strict=True)
    }


@pytest.mark.parametrize("name", ALL)
def test_it_ends_in_a_sentence_or_opens(results: dict[str, dict[str, Any]], name: str) -> None:
    result = results[name]
    assert not result["ran"]
    assert result["ended"] in (("refused", "opened", "stopped", "failed") if name in STOPPED else ("refused", "opened"))
    assert result["seconds"] < (SECONDS + 2 if name in STOPPED else 10)
    assert result["most"] < (3 if name in STOPPED else 1.5) * GIGABYTE  # a third of which is the libraries'
    if result["ended"] == "refused":
        said = result["said"]
        assert said.endswith(".")
        assert len(said) < 1000
        assert not UNREADABLE.search(said), said
        assert result["place"] not in re.sub(r"'[^']*/hostile\d+'", "", said)  # the name is what was typed


def test_what_must_not_open_does_not(results: dict[str, dict[str, Any]]) -> None:
    harmless = {name for name, one in results.items() if one["ended"] == "opened"}
    for word in (
        "pickle",
        "code for the model",
        "from a repository",
        "kernels",
        "quantised by",
        "that are missing",
        "cut off",
        "of another shape",
    ):
        assert not [name for name in harmless if word in name], word
