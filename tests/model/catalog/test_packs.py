"""The class pack: complete, honest about what is missing, and running where there is no network at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model.catalog import entries, packs
from model.catalog.__main__ import main
from model.catalog.revisions import revision
from model.errors import ModelError

# Brings up the loopback of a network namespace, then the app: every page, and no address beyond this computer asked.
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x40, b""))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
asked = []
def hook(event, args):
    if event == "socket.getaddrinfo" and args[0] not in ("localhost", "127.0.0.1"):
        asked.append(args)
    if event == "socket.connect" and isinstance(args[1], tuple) and not str(args[1][0]).startswith("127."):
        asked.append(args[1])
sys.addaudithook(hook)
try:
    socket.create_connection(("192.0.2.1", 80), timeout=3)
    sys.exit("there is a network here")
except OSError:
    assert asked.pop() == ("192.0.2.1", 80) and not [one for one in asked if one[0] != "192.0.2.1"]
    asked.clear()
from pathlib import Path
from streamlit.testing.v1 import AppTest
app = AppTest.from_file(str(Path("app.py").resolve()), default_timeout=120).run()
for page in sorted(Path("viz/pages").glob("*.py")):
    app.switch_page(f"viz/pages/{page.name}").run()
    assert not app.exception and not app.error, (page, app.exception, app.error)
    assert app.session_state["drawn"] or app.info or page.stem in ("lab", "lessons", "uses", "why"), page
print("pages", len(app.session_state["drawn"]), "asked", asked)
"""


@pytest.fixture(autouse=True)
def nothing_fetched(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, whatever models this computer has."""
    home = tmp_path_factory.mktemp("store")
    monkeypatch.setenv("HEADLIGHT_HOME", str(home))
    monkeypatch.setattr(packs, "CATALOG", {name: entries.CATALOG[name] for name in ("en-fr", "minilm")})
    return home


def kept(home: Path, name: str) -> Path:
    """A model that was fetched before: a file and a link, as the hub's cache has them."""
    folder = home / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (home / "blob").write_bytes(b"weights")
    (folder / "model.safetensors").symlink_to(home / "blob")
    return folder


def test_a_pack_holds_the_app_and_the_models_that_are_here(tmp_path: Path, nothing_fetched: Path) -> None:
    kept(nothing_fetched, "minilm")
    folder = tmp_path / "pack"
    assert packs.pack(folder) == ["en-fr", "minilm"]
    for name in (
        "app.py",
        "model/attention/formula.py",
        "viz/pages/heads.py",
        "assets/en-fr/model.safetensors",
        "static",
        ".streamlit/config.toml",
        "requirements.txt",
        "LICENSE",
        "models/minilm/config.json",
    ):
        assert (folder / name).exists(), name
    copied = folder / "models/minilm/model.safetensors"
    assert copied.read_bytes() == b"weights"
    assert not copied.is_symlink()
    assert not [*folder.rglob("__pycache__")]
    assert not (folder / "models/en-fr").exists()  # it came with the repository, and is in assets
    readme = (folder / "PACK.md").read_text(encoding="utf-8")
    assert "en-fr, minilm" in readme
    assert "streamlit run app.py" in readme


def test_a_packs_models_are_found_in_it(tmp_path: Path, nothing_fetched: Path) -> None:
    kept(nothing_fetched, "minilm")
    packs.pack(tmp_path / "pack", ["minilm"])
    code = (
        "from model.catalog.revisions import revision; from model.catalog.store import local_folder; "
        "print(local_folder('minilm'), revision('minilm'))"
    )
    clean = {name: value for name, value in os.environ.items() if name != "HEADLIGHT_HOME"}
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "pack", env=clean, capture_output=True, text=True, check=True
    ).stdout
    assert out.split() == [str(tmp_path / "pack/models/minilm"), revision("minilm")]


def test_the_list_of_packages_is_whole_and_pinned(tmp_path: Path) -> None:
    packs.pack(tmp_path / "pack", [])
    lines = (tmp_path / "pack/wheels.txt").read_text().split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in lines)
    named = {line.split("==")[0] for line in lines}
    direct = set(re.findall(r"^([\w.-]+)==", Path("requirements.txt").read_text(), re.MULTILINE))
    assert direct <= named
    assert {"jinja2", "huggingface-hub", "fonttools"} <= named  # what those need


def test_wheels_come_with_their_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.run

    def download(command: list[str], **options: object) -> object:
        assert command[1:4] == ["-m", "pip", "download"]
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        (folder / "some_package-1.2-py3-none-any.whl").write_bytes(b"wheel")
        return real([sys.executable, "-c", ""])

    monkeypatch.setattr(packs.subprocess, "run", download)
    packs.pack(tmp_path / "pack", [], wheels=True)
    digest = hashlib.sha256(b"wheel").hexdigest()
    assert (tmp_path / "pack/wheels.txt").read_text() == f"some-package==1.2 --hash=sha256:{digest}\n"
    assert "--no-index" in (tmp_path / "pack/PACK.md").read_text()


def test_what_cannot_be_packed_is_said_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="minilm"):
        packs.pack(tmp_path / "pack", ["en-fr", "minilm"])
    assert not (tmp_path / "pack").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="not an empty folder"):
        packs.pack(tmp_path / "full")
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine.txt"]
    monkeypatch.setattr(packs.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(ModelError, match="are free"):
        packs.pack(tmp_path / "small", [])


def test_the_command_packs_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["catalog", "pack", str(tmp_path / "pack"), "--models", "en-fr"])
    main()
    assert "PACK.md" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["catalog", "pack", str(tmp_path / "pack")])
    with pytest.raises(SystemExit, match="not an empty folder"):
        main()


def test_a_pack_runs_where_there_is_no_network(tmp_path: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    packs.pack(tmp_path / "pack", [])
    clean = {name: value for name, value in os.environ.items() if name != "HEADLIGHT_HOME"}
    done = subprocess.run(
        [*alone, sys.executable, "-c", ALONE],
        cwd=tmp_path / "pack",
        env=clean | {"OMP_NUM_THREADS": "1", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1].endswith("asked []")
