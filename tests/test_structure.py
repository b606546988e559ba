"""The rules of the house: who may import whom, and that nothing on screen is made up."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

RULES = {
    "model": {"streamlit", "plotly", "pandas", "viz"},
    "model/trace": {"torch", "transformers"},
    "model/positions": {"torch", "transformers"},
    "model/arrays/lazy.py": {"torch", "transformers"},
    "model/maps/pooling.py": {"torch", "transformers"},
    "model/maps/entropy.py": {"torch", "transformers"},
    "model/maps/words.py": {"torch", "transformers"},
    "model/maps/layer_maps.py": {"torch", "transformers"},
    "model/maps/rollout.py": {"torch", "transformers"},
    "model/measures/heads/head_roles.py": {"torch", "transformers"},
    "model/measures/heads/head_steps.py": {"torch", "transformers"},
    "model/measures/hidden_states.py": {"torch", "transformers"},
    "model/measures/probabilities.py": {"torch", "transformers"},
    "model/structures": {"torch", "transformers"},
    "model/measures/structure": {"torch", "transformers"},
    "model/measures/alignment.py": {"torch", "transformers"},
    "model/measures/similarity.py": {"torch", "transformers"},
    "model/measures/weight_scales.py": {"torch", "transformers"},
    "model/remote/remote_layer.py": {"torch", "transformers"},
    "model/libraries/pytorch.py": {"transformers", "keras", "model"},
    "model/libraries/huggingface.py": {"keras", "model"},
    "model/libraries/keras.py": {"torch", "transformers", "tensorflow", "model"},
    "model/libraries/runner.py": {"torch", "transformers", "keras", "tensorflow"},
    "viz/figures": {"streamlit", "torch", "transformers"},
    "viz/saving": {"streamlit", "torch", "transformers"},
    "viz/language": {"streamlit", "torch", "transformers"},
    "viz/pages": {"torch", "transformers", "plotly"},
    "app.py": {"torch", "transformers", "plotly"},
    "server.py": {"torch", "transformers", "plotly"},
    "desktop.py": {"torch", "transformers", "plotly", "streamlit", "viz", "model"},
}


def files(place: str) -> list[Path]:
    path = Path(place)
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize(("place", "never"), RULES.items())
def test_import_rules(place: str, never: set[str]) -> None:
    assert files(place)
    for file in files(place):
        assert not imported(file) & never, file


def test_importing_model_is_light() -> None:
    heavy = ("torch", "transformers", "keras", "streamlit", "pandas")
    code = f"import sys, model; print([n for n in {heavy} if n in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("server", ["app", "server"])
def test_a_server_listens_before_anything_of_its_pages_is_imported(server: str) -> None:
    heavy = ("torch", "transformers", "viz.frame", "viz.sections", "viz.widgets")
    code = f"import sys, {server}; print([n for n in {heavy} if n in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_no_random_numbers_are_drawn_in_the_app() -> None:
    for file in [*files("viz"), *files("app.py"), *files("model")]:
        # Examples are shuffled and split; sentences are drawn again for intervals.
        if file.name not in ("scoring.py", "resampling.py") and "training" not in file.parts:
            assert not re.search(r"\brandom\b|\brandn?\(|default_rng", file.read_text(encoding="utf-8")), file


def test_arrows_between_rooms_run_down() -> None:
    """The contracts in pyproject.toml: layers of rooms, no cycles, and what a room never imports."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    ran = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert "Contracts: 4 kept, 0 broken." in ran.stdout, ran.stdout + ran.stderr


def test_pages_are_short_and_files_stay_readable() -> None:
    for file in files("viz/pages"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 60, file
    for file in [*files("model"), *files("viz")]:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 300, file


def test_every_text_that_code_asks_for_is_there() -> None:
    catalogue = tomllib.loads(Path("assets/i18n/en.toml").read_text(encoding="utf-8"))
    there = {f"{section}.{name}" for section, texts in catalogue.items() for name in texts}
    code = "".join(file.read_text(encoding="utf-8") for file in [*files("viz"), *files("app.py")])
    asked = set(re.findall(r'say\(\s*"([a-z_]+\.[a-z_0-9]+)"', code))
    assert len(asked) > 50
    assert asked <= there, asked - there


DOCUMENTS = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
# A path of this project, not a placeholder such as `viz/pages/NAME.py` or `assets/lessons/NN-name/en.md`.
PROJECT_PATH = re.compile(r"(?<![\w/.-])(?:\./|\.\./)?(?:model|viz|tests|assets|static|docs|\.ci|\.streamlit)/[\w./-]*")
PLACEHOLDERS = re.compile(r"NAME|CODE|NN-name")


def named_in(document: Path) -> set[str]:
    """Paths of project files and rooms that a document names, links included, relative to the project's folder."""
    text = document.read_text(encoding="utf-8")
    links = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    linked = {os.path.normpath(document.parent / target) for target in links if target}
    without_links = re.sub(r"\]\([^)\s]+\)", "]", text)
    top_level = set(re.findall(r"(?<![\w/.-])(?:app|desktop|pyproject|requirements[\w-]*)\.(?:py|toml|txt)\b", text))
    return linked | top_level | {path.rstrip(".") for path in PROJECT_PATH.findall(without_links)}


def test_every_room_is_described() -> None:
    described = Path("docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = [
        path for top in ("model", "viz") for path in Path(top).iterdir() if path.is_dir() and any(path.glob("*.*"))
    ]
    missing = [str(path) for path in rooms if path.name != "__pycache__" and f"`{path.as_posix()}/`" not in described]
    assert not missing


def test_the_readme_is_short() -> None:
    assert len(Path("README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_file_and_command_that_documents_name_exists(document: Path) -> None:
    missing = {path for path in named_in(document) if not PLACEHOLDERS.search(path) and not Path(path).exists()}
    assert not missing
    commands = set(re.findall(r"python -m ((?:model|viz|tests)[\w.]*)", document.read_text(encoding="utf-8")))
    places = {module: Path(module.replace(".", "/")) for module in commands}
    there = {
        module for module, path in places.items() if path.with_suffix(".py").exists() or (path / "__main__.py").exists()
    }
    assert commands == there


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_function_that_documents_name_with_its_file_exists(document: Path) -> None:
    """Reads "`function` in `file.py`" and "`Class.method` in `file.py`"."""
    text = re.sub(r"\s+", " ", document.read_text(encoding="utf-8"))
    for names, file in re.findall(r"((?:`[\w.]+`(?:,| and)? )+)(?:in|of) `([\w/]+\.py)`", text):
        code = Path(file).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            last = name.split(".")[-1]
            assert re.search(rf"(?:def|class) {last}\b|^\s*(?:self\.)?{last}\b.*=", code, re.MULTILINE), (name, file)


def test_links_to_parts_of_documents_exist() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", document.read_text(encoding="utf-8")):
            path, _, part = target.partition("#")
            if "://" in target:
                continue
            text = (document.parent / path if path else document).read_text(encoding="utf-8")
            lines = [line.lstrip("# ").lower() for line in text.splitlines() if line.startswith("#")]
            assert part in {re.sub(r"[^\w -]", "", line).replace(" ", "-") for line in lines}, (document, target)
