"""Half precision: the same maps within what the number format rounds away, and a check that still finds a fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import model
from model.attention import devices, formula
from model.remote.messages import PROTOCOL_VERSION, STATUS_OK, pack, unpack
from model.remote.request_handler import RequestHandler
from model.translator import transformer
from model.translator.translator import Translator
from tests.app.driving import APP, texts
from tests.model.huggingface.test_families import TEXT, build
from viz.language.messages import say


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_translator_in_half_precision(lens: Translator, dtype: str) -> None:
    half = model.load("en-fr", "cpu", dtype=dtype)
    assert next(half.module.parameters()).dtype == getattr(torch, dtype)  # type: ignore[attr-defined]
    text, target = "The red car stopped.", "La voiture rouge s'est arrêtée."
    trace, whole = half.trace(text, target), lens.trace(text, target)
    check = trace.verify()
    assert check.ok
    assert check.tolerance > whole.verify().tolerance
    assert check.max_weight_error > 0
    for kind, attention in trace.attentions.items():
        weights = attention.weights(1)
        assert weights.dtype == np.float32
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        np.testing.assert_allclose(weights, whole.attentions[kind].weights(1), atol=check.tolerance)
        assert (weights[:, ~attention.mask(1)] == 0).all()
    assert 0 < trace.nbytes <= whole.nbytes


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "bart", "mistral"])
def test_other_families_in_half_precision(family: str, tmp_path: Path) -> None:
    build(family, tmp_path)
    half = model.load(str(tmp_path), "cpu", dtype="bfloat16")
    trace = half.trace(TEXT)
    assert trace.verify().ok
    assert all(states.dtype == np.float32 for states in trace.hidden_states.values())


def test_a_place_names_device_and_number_format(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.device_choices()[-1] == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert devices.device_choices()[:3] == ["cuda", "cuda, bfloat16", "cuda, float16"]
    assert devices.split_device_choice("cuda, float16", "float32") == ("cuda", "float16")
    assert devices.split_device_choice("cuda", "bfloat16") == ("cuda", "bfloat16")


def test_a_replica_computes_in_half_precision() -> None:
    status, reply = RequestHandler("cpu, bfloat16").handle(
        pack({"wire": PROTOCOL_VERSION, "model": "en-fr", "want": "facts"})
    )
    assert status == STATUS_OK
    assert unpack(reply)[0]["dtype"] == "bfloat16"
    with pytest.raises(ValueError, match="no device 'tpu'"):
        RequestHandler("tpu")
    with pytest.raises(ValueError, match="no number format 'int3'"):
        RequestHandler("cpu, int3")


def test_the_page_runs_in_half_precision_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viz.frame.bars.top_bar.device_choices", lambda: ["cpu, bfloat16", "cpu"])
    app = AppTest.from_file(APP, default_timeout=60).run()
    app.session_state["settings"] = True  # the menu is open
    app.run().selectbox(key="device").select("cpu, bfloat16").run()
    app.session_state["badge_page"] = True  # open
    app.run()
    assert not app.exception
    ran = say("parts.ran", device="cpu, bfloat16", count=6)
    assert ran in texts(app)
    assert any("dtype='bfloat16'" in code.value for code in app.code)


def test_a_fault_is_found_in_half_precision_too(monkeypatch: pytest.MonkeyPatch) -> None:
    right = formula.attention
    monkeypatch.setattr(transformer, "attention", lambda *args, **kwargs: right(*args, **kwargs, scale=1.0))
    half = model.load("en-fr", "cpu", dtype="bfloat16")
    assert not half.trace("The red car stopped.").verify().ok


def test_an_unknown_number_format_is_refused() -> None:
    with pytest.raises(ValueError, match="There is no number format 'int3'; there is float32, bfloat16, float16"):
        model.load("en-fr", dtype="int3")
