"""Shared by all tests: nothing here reaches a network."""

from __future__ import annotations

import os

# Before torch is imported: waiting threads sleep instead of spinning, which a busy machine makes ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import pytest
import torch

pytest.register_assert_rewrite("tests.app.driving", "tests.browser.driving")

import model
from model.translator.transformer import Config, Transformer
from model.translator.translator import Translator

TESTS = Path(__file__).parent
LONG = ("app", "browser", "hostile")  # folders whose files take long, and are not to come last


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of each folder are spread over the run: those of the browser wait while those of pages compute.

    Who runs several processes hands them out file by file in this order. By the number of tests in them, which is
    usual, the long ones would come last, and one process would wait for the other.
    """
    folders: dict[str, list[Path]] = {}
    for path in dict.fromkeys(item.path for item in items):
        folders.setdefault(path.relative_to(TESTS).parts[0], []).append(path)
    places = {
        path: (number + 0.5) / len(files) * (0.85 if folder in LONG else 1)
        for folder, files in folders.items()
        for number, path in enumerate(files)
    }
    items.sort(key=lambda item: places[item.path])


@pytest.fixture(scope="session")
def lens() -> Translator:
    """The bundled translator."""
    return model.load("en-fr", device="cpu")


@pytest.fixture(scope="session")
def tiny() -> Transformer:
    """Random weights; encoder and decoder of different depth."""
    torch.manual_seed(0)
    return Transformer(Config(50, d_model=16, num_heads=4, encoder_layers=3, decoder_layers=2, d_ff=32)).eval()


@pytest.fixture(autouse=True)
def _failures_are_seen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pages' guard would turn into a sentence fails the test, and small models of tests need no trial first.

    But for tests of the guard and of the trial themselves.
    """
    if "tried" not in request.keywords:  # a trial takes seconds
        from model.catalog import trial

        monkeypatch.setattr(trial, "_try", lambda name, folder: None)
    if "guarded" not in request.keywords:
        from viz.frame import guard

        def report(error: BaseException, what: str = "page") -> None:
            raise error

        monkeypatch.setattr(guard, "report", report)
