"""The settings of a server: where they stand, what holds without them, and what is said of mistakes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from model.settings.reading import READERS, SettingsError, described, read
from model.settings.settings import ALONE, SHARED, Settings


def settings(tmp_path: Path, text: str = "", shared: bool = True, **environment: str) -> Settings:
    file = tmp_path / "headlight.toml"
    file.write_text(text)
    return read(shared=shared, file=file, environment=environment)


def test_alone_everything_is_allowed_and_a_shared_server_has_the_catalogue_only(tmp_path: Path) -> None:
    absent = tmp_path / "headlight.toml"
    assert read(shared=False, file=absent, environment={}) == ALONE == Settings()
    assert read(shared=True, file=absent, environment={}) == SHARED
    assert SHARED.models == ("catalogue",)
    assert SHARED.catalogue_only()
    assert SHARED.account_repositories == ()
    assert not ALONE.catalogue_only()


def test_the_file_and_then_the_environment_are_read(tmp_path: Path) -> None:
    text = f"""
models = ["catalogue", "{tmp_path}", "owner/name"]
largest_model = "1.5 GB"
largest_download = "300 MB"
tokens_per_text = 200
uploads = false
sessions = 35
account_repositories = ["owner/*"]
"""
    expected = Settings(("catalogue", str(tmp_path), "owner/name"), 1.5e9, 3e8, 200, False, 35, ("owner/*",))
    assert settings(tmp_path, text) == settings(tmp_path, text, shared=False) == expected
    changed = settings(tmp_path, text, HEADLIGHT_SESSIONS="unlimited", HEADLIGHT_UPLOADS="yes", OTHER="1")
    assert changed == replace(expected, sessions=None, uploads=True)
    assert settings(tmp_path, HEADLIGHT_MODELS=" hub, a/b ").models == ("hub", "a/b")
    assert settings(tmp_path, HEADLIGHT_LARGEST_MODEL="4gb").largest_model == 4e9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('model = "hub"', "headlight.toml has no setting 'model'. There are: models, "),
        ('models = "everything"', "none of catalogue"),
        ("models = 7", 'give a list such as ["catalogue", "hub"]'),
        ('models = ["/no/such/folder"]', "no folder"),
        ("largest_model = 4", 'largest_model in headlight.toml cannot be understood: give a size such as "500 MB"'),
        ('largest_model = "inf GB"', "give a size"),
        ('largest_download = "-1 GB"', "give a size"),
        ("tokens_per_text = 0", "whole number from 1 on"),
        ("sessions = true", "whole number from 1 on"),
        ('uploads = "perhaps"', "true or false"),
        ('account_repositories = ["x"]', "no repository"),
        ("models = ", "headlight.toml is no TOML"),
        ("sessions = " + "9" * 5000, "headlight.toml is no TOML"),
        ("sessions = " + "[" * 5000, "headlight.toml is no TOML"),
        ("# " + "x" * 200_000, "larger than 100 KB"),
    ],
)
def test_a_mistake_is_a_sentence_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, text)
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 400


def test_mistakes_in_the_environment_are_named_and_other_variables_left_alone(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\$HEADLIGHT_SESSIONS cannot be understood"):
        settings(tmp_path, HEADLIGHT_SESSIONS="many")
    with pytest.raises(SettingsError, match=r"\$HEADLIGHT_SESSION is no setting. Did you mean \$HEADLIGHT_SESSIONS"):
        settings(tmp_path, HEADLIGHT_SESSION="30")
    assert settings(tmp_path, HEADLIGHT_HOME="/x", HEADLIGHT_BACKEND="http://x", HEADLIGHT_TOKEN="x") == SHARED


def test_every_setting_has_a_reader_and_is_described_as_it_is_read(tmp_path: Path) -> None:
    assert [one.name for one in fields(Settings)] == list(READERS)
    for one in (ALONE, SHARED, Settings(("hub",), 1.5e9, 3e8, 200, False, 35, ("a/b",))):
        assert settings(tmp_path, described(one)) == one


def test_the_command_prints_what_would_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADLIGHT_SESSIONS", "12")
    command = [sys.executable, "-m", "model.settings", "--shared"]
    assert "sessions = 12" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    monkeypatch.setenv("HEADLIGHT_SESSIONS", "a dozen")
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr == '$HEADLIGHT_SESSIONS cannot be understood: give a whole number from 1 on, or "unlimited".\n'
