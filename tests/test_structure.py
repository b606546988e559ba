"""The rules of the house: who may import whom, and that nothing on screen is made up."""

from __future__ import annotations

import ast
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
    "model/measures/head_roles.py": {"torch", "transformers"},
    "model/measures/head_steps.py": {"torch", "transformers"},
    "model/measures/hidden_states.py": {"torch", "transformers"},
    "model/measures/probabilities.py": {"torch", "transformers"},
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


def test_no_random_numbers_are_drawn_in_the_app() -> None:
    for file in [*files("viz"), *files("app.py"), *files("model")]:
        if file.name != "training.py":  # shuffles its sentences
            assert not re.search(r"\brandom\b|\brandn?\(|default_rng", file.read_text(encoding="utf-8")), file


def test_arrows_between_rooms_run_down() -> None:
    """The contracts in pyproject.toml: layers of rooms, no cycles, and what a room never imports."""
    ran = subprocess.run([sys.executable, "-m", "importlinter.cli"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


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
