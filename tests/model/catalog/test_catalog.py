"""Where models come from: what is refused, what is said, and the models that were fetched."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import model
from model.catalog import fetching, store
from model.catalog.downloads import hub, wheels
from model.catalog.entries import CATALOG, forbids_commerce
from model.errors import ModelError
from model.measures.heads.head_roles import induction_scores, role_scores
from model.memory import fit

NAMES = "en-fr describe python minilm smollm2 gpt2 bert-base distilbert roberta xlnet t5-small opus-mt-en-fr".split()  # noqa: SIM905
NAMES += "distilbart titler antiberty esm2 rxnmapper codegen dinov2 moving-digits vit timesformer videomae".split()  # noqa: SIM905
NAMES += ["whisper-tiny"]


def quiet(share: float, what: str) -> None:
    assert 0 <= share <= 1


def wheel(folder: Path, *files: str) -> Path:
    path = folder / "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in files:
            archive.writestr(name, "{}")
    return path


def test_every_model_of_the_design_has_a_pinned_source() -> None:
    assert list(CATALOG) == NAMES
    for entry in CATALOG.values():
        assert entry.folder or entry.hub or entry.wheel
        assert entry.hub is None or len(entry.hub.revision) == 40
        assert entry.wheel is None or len(entry.wheel.sha256) == 64


def test_licences_that_forbid_commercial_use_are_known() -> None:
    assert [name for name, entry in CATALOG.items() if entry.is_non_commercial] == ["timesformer", "videomae"]
    for licence in ("cc-by-nc-sa-3.0", "fair-noncommercial-research-license", "CC-BY-NC-4.0"):
        assert forbids_commerce(licence)
    for licence in ("", "MIT", "apache-2.0", "creativeml-openrail-m", "PSF, Apache, BSD, MIT", "ncsa", "CC-BY 2.0 FR"):
        assert not forbids_commerce(licence)


def test_only_the_named_folder_is_unpacked_and_no_code(tmp_path: Path) -> None:
    file = wheel(tmp_path, "made/model/config.json", "made/model/sub/a.txt", "made/model/run.py", "made/other.json")
    wheels.extract_folder(file, "made/model/", tmp_path / "out")
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["config.json", "sub/a.txt"]


@pytest.mark.parametrize("trick", ["made/model/../../../escaped.json", "made/model/..//..//escaped.json"])
def test_a_path_that_points_outside_is_refused(tmp_path: Path, trick: str) -> None:
    with pytest.raises(ModelError, match="points outside"):
        wheels.extract_folder(wheel(tmp_path, trick), "made/model/", tmp_path / "a" / "b" / "out")
    assert not list(tmp_path.rglob("escaped.json"))


def test_without_a_network_it_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADLIGHT_HOME", str(tmp_path))
    monkeypatch.setattr(fetching, "local_folder", lambda name: None)
    monkeypatch.setattr(hub, "_check_reachable", lambda: (_ for _ in ()).throw(OSError("no route")))
    for name in ("gpt2", "somebody/something"):
        with pytest.raises(ModelError, match=r"cannot be reached.*network") as caught:
            fetching.find_or_fetch(name, quiet)
        assert caught.value.reason == "no_network"


@pytest.mark.parametrize("name", ["no-such-model", "/no/such/folder", "a/b/c", "so me/mo del"])
def test_an_unknown_name_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_check_reachable", lambda: None)  # a name that no hub could have is never asked for
    with pytest.raises(ModelError, match="model") as caught:
        model.load(name)
    assert caught.value.reason == "unknown"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ('{"model_type": "no-such-type"}', "unread_kind"),
        ('{"colour": "red"}', "not_transformer"),
        ("no json", "files_damaged"),
        ("[]", "files_damaged"),
    ],
)
def test_a_folder_without_a_transformer_is_said(tmp_path: Path, config: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelError, match="cannot be opened as a transformer") as caught:
        model.load(str(tmp_path))
    assert caught.value.reason == reason


def test_a_model_that_cannot_fit_is_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit.needed_memory(Path("assets/en-fr")) == 4 * 7_577_600
    fit.check_memory_fits("en-fr", Path("assets/en-fr"))
    monkeypatch.setattr(fit, "needed_memory", lambda folder: 10**15)
    with pytest.raises(ModelError, match=r"en-fr needs more than 1000 TB of memory and \d+.\d GB are free") as caught:
        model.load("en-fr")
    assert caught.value.reason == "memory"


def fetched(name: str) -> str:
    """The name, if the model was fetched on this machine; the tests themselves never reach for a network."""
    if not (store.download_folder() / name / "config.json").is_file():
        pytest.skip(f"{name} is not here: python -m model.catalog get {name}")
    return name


def test_minilm_has_its_previous_token_head() -> None:
    trace = model.load(fetched("minilm"), "cpu").trace("The cat sat on the mat because it was tired.")
    assert trace.verify().ok
    scores = role_scores(trace.attentions["encoder"], 0)["previous"]
    assert int(scores.argmax()) == 2
    assert scores[2] > 0.95


def test_smollm2_has_its_induction_heads() -> None:
    lens = model.load(fetched("smollm2"), "cpu")
    words = "lamp river seven tree cloud stone window paper horse bread"
    trace = lens.trace(f"{words} {words} {words}", target="")
    assert trace.verify().ok
    found = [induction_scores(trace.attentions["decoder"], layer) for layer in range(30)]
    assert found[18][6] > 0.5
    assert found[17][4] > 0.5
    assert np.median(found) < 0.1


@pytest.mark.parametrize("planted", ["nothing", "own", "link", "file", "open to all"])
def test_without_a_home_models_lie_in_a_folder_that_nobody_else_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.delenv("HEADLIGHT_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(store.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(store.tempfile, "tempdir", str(tmp_path))
    named = tmp_path / f"headlight-{os.getuid()}"
    (tmp_path / "elsewhere").mkdir()
    if planted in ("own", "open to all"):
        named.mkdir()
        named.chmod(0o700 if planted == "own" else 0o777)
    elif planted == "link":
        named.symlink_to(tmp_path / "elsewhere")
    elif planted == "file":
        named.touch()
    store._temporary_folder.cache_clear()
    try:
        found = store.download_folder()
        assert store.download_folder() == found  # the same until the end
        assert (found == named) == (planted in ("nothing", "own"))
        assert found.stat().st_mode & 0o777 == 0o700
        assert not found.is_symlink()
    finally:
        store._temporary_folder.cache_clear()
