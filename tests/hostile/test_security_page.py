"""docs/SECURITY.md says what the code does: settings, their defaults, and the numbers of limits."""

from __future__ import annotations

import ast
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from model.assets import ASSETS
from model.catalog import folder_check, trial
from model.huggingface.sound import sound_model
from model.memory.weight_headers import MAX_HEADER_BYTES
from model.remote import messages
from model.settings.reading import NO_LIMIT, READERS, read
from model.settings.settings import ALONE, SHARED, SOURCES, Settings
from model.structures import clip_files, file_content, film_files, protein_files
from model.tokenization import limited
from tests.hostile.test_kinds import ALL
from viz.frame import server_state
from viz.frame.waits import opening

PAGE = Path("docs/SECURITY.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split())


def told(cell: str) -> object:
    """The value that a cell of the table of settings begins with, as `Settings` has it."""
    if cell.startswith("everything"):
        return SOURCES
    found = re.match(r"`([^`]+)`", cell)
    assert found, cell
    value = {"true": True, "false": False}.get(found[1])
    value = ast.literal_eval(found[1]) if value is None else value
    return None if value == NO_LIMIT else tuple(value) if isinstance(value, list) else value


def test_every_setting_is_told_with_its_defaults() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    table = {cells[0].strip("`"): cells for cells in rows if cells[0].strip("`") in READERS}
    assert list(table) == list(READERS) == list(asdict(Settings()))
    for name, (_, _, alone, shared) in table.items():
        assert told(alone) == getattr(ALONE, name), name
        assert told(alone if shared == "the same" else shared) == getattr(SHARED, name), name


def test_the_settings_for_a_class_are_settings(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    file = tmp_path / "headlight.toml"
    file.write_text("\n".join(line.strip() for line in block[1].splitlines()))
    found = read(shared=True, file=file, environment={})
    assert found.catalogue_only()
    assert None not in (found.largest_download, found.tokens_per_text, found.sessions)


@pytest.mark.parametrize(
    "said",
    [
        f"{trial.LIBRARY_BYTES / 1e9:.0f} GB and three times its weights",
        f"{trial.CPU_SECONDS} s of a core, and {trial.CPU_SECONDS_A_GIGABYTE} s more for each gigabyte of weights",
        f"at most {trial.LONGEST} s",
        f"{limited.BYTES / 1e9:.1f} GB and {limited.CPU_SECONDS} s",
        f"the whole turn, in a process with {limited.CHAT_CPU_SECONDS} s",
        f"Settings of more than {folder_check.MAX_SETTINGS_BYTES / 1e6:.0f} MB are not read",
        f"vocabularies of more than {folder_check.MAX_JSON_BYTES / 1e6:.0f} MB",
        f"for at most {opening.LONGEST / 60:.0f} minutes",
        f"opens folders of {len(ALL)} kinds",
        f"one cache of {server_state.CACHE_BYTES / 1e9:.2f} GB",
        f"{server_state.MAX_TOKEN_LAYERS_SHARED:,} on a server that others reach, else "
        f"{server_state.MAX_TOKEN_LAYERS:,}",
        f"Of texts of more than {server_state.SHORT_TEXT} letters",
        f"Messages of more than {messages.MAX_REQUEST_BYTES / 1e6:.0f} MB are not read",
        f"At most {file_content.MAX_BYTES / 1e6:.0f} MB",
        f"at most two minutes of {clip_files.MAX_PIXELS / 1e6:.0f} million pixels a frame",
        f"at most {protein_files.MAX_CHAINS} chains of {protein_files.MAX_RESIDUES:,} residues",
    ],
)
def test_a_limit_is_told_as_it_is(said: str) -> None:
    assert said in WORDS


def test_limits_that_are_told_in_words_are_those() -> None:
    assert film_files.MAX_SECONDS == 120
    assert protein_files.MAX_BYTES == file_content.MAX_BYTES == 20_000_000
    assert MAX_HEADER_BYTES == folder_check.MAX_JSON_BYTES
    assert f"at most {sound_model.MAX_SECONDS} seconds" in WORDS
    assert "maxUploadSize = 20" in (ASSETS.parent / ".streamlit" / "config.toml").read_text()


def test_what_the_page_names_as_checks_are_there() -> None:
    named = re.findall(r"`(tests/[\w./]+)`", PAGE)
    assert len(named) > 15
    assert all((ASSETS.parent / one).exists() for one in named)
