"""What a shared server allows, what the page says of it, and how many browsers it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import model
from model.catalog import fetching, store
from model.catalog.permission import account_token, may_be_folder, may_be_hub
from model.errors import InputError, ModelError
from model.settings import reading, settings
from model.settings.settings import ALONE, SHARED, Settings
from tests.app.driving import APP, opened
from viz.frame import server_state
from viz.frame.limits import policy, sessions


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A server that has just started, without a file of settings."""
    monkeypatch.setattr(policy, "_read_as", None)
    monkeypatch.setattr(reading, "FILE", tmp_path / "headlight.toml")
    monkeypatch.setattr(reading.read, "__kwdefaults__", {"file": tmp_path / "headlight.toml", "environment": None})
    yield
    settings.install(ALONE)
    sessions._admitted.clear()


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "is_shared", lambda: True)


def errors(app: AppTest) -> str:
    return "\n".join(one.value for one in [*app.error, *app.warning])


def test_on_this_computer_everything_is_allowed() -> None:
    app = opened()
    assert settings.current() == ALONE
    assert policy.sentence() == ""
    assert not app.error


def test_a_shared_server_opens_the_catalogue_only_and_says_who_can_change_it(shared: None, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert not opened().error
    assert settings.current() == SHARED
    for name in (str(tmp_path), str(tmp_path / "absent"), "somebody/tiny", "../../etc", "/etc"):
        app = AppTest.from_file(str(APP), default_timeout=120)
        app.query_params["model"] = name
        app.run()
        assert "cannot be opened on this server" in errors(app)
        assert "headlight.toml" in errors(app)
        assert not app.exception
    assert policy.sentence().startswith("On this server, only the models of the list can be opened.")
    assert policy.sentence().endswith("Who runs this server can change that, in headlight.toml.")


def test_what_may_not_be_opened_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    settings.install(SHARED)

    def look(self: Path) -> bool:
        raise AssertionError(f"{self} was looked at")

    monkeypatch.setattr(Path, "is_file", look)
    said = set()
    for name in (str(tmp_path), str(tmp_path / "absent"), "somebody/tiny"):
        assert store.local_folder(name) is None
        with pytest.raises(ModelError) as caught:
            fetching.find_or_fetch(name, lambda share, what: None)
        assert caught.value.reason == "not_allowed"
        said.add(str(caught.value).replace(repr(name), ""))
    assert len(said) == 1


def test_listed_folders_and_repositories_are_allowed_alone(tmp_path: Path) -> None:
    inside, outside = tmp_path / "models" / "one", tmp_path / "other"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (tmp_path / "models" / "link").symlink_to(outside)
    settings.install(Settings(models=("catalogue", str(tmp_path / "models"), "owner/name")))
    assert store.local_folder(str(inside)) == inside
    for name in (outside, tmp_path / "models" / ".." / "other", tmp_path / "models" / "link"):
        assert not may_be_folder(str(name))
        assert store.local_folder(str(name)) is None
    assert may_be_hub("owner/name")
    assert not may_be_hub("owner/other")
    settings.install(Settings(models=("catalogue", "hub")))
    assert may_be_hub("owner/other")
    for name in ("../other", "a/..", "/etc/passwd", "a/b/c", "a", "x" * 200 + "/y", "a/b\0", "~root/x"):
        assert not may_be_hub(name)
        assert store.local_folder(name) is None


def test_the_bundled_translator_is_always_there() -> None:
    settings.install(Settings(models=()))
    assert model.load("en-fr", "cpu").trace("I see.").output
    with pytest.raises(ModelError) as caught:
        model.load("gpt2", "cpu")
    assert caught.value.reason == "not_allowed"


@pytest.mark.parametrize("name", ["", "  ", "x" * 5000, "/" * 5000, "a\0b", "x" * 300 + "/" + "y" * 300])
def test_what_is_no_name_is_said(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        model.load(name, "cpu")
    assert caught.value.reason == "unknown"
    assert store.local_folder(name) is None
    assert len(str(caught.value)) < 2000


def test_larger_models_and_longer_texts_than_allowed_are_refused_with_both_numbers() -> None:
    settings.install(Settings(largest_model=1e6))
    with pytest.raises(ModelError, match=r"needs \d+ MB of memory; this server opens models of up to 1 MB") as caught:
        model.load("en-fr", "cpu")
    assert caught.value.reason == "too_large"
    settings.install(Settings(tokens_per_text=5))
    lens = model.load("en-fr", "cpu")
    assert lens.trace("I see.").output
    with pytest.raises(InputError, match="tokens, and this server reads at most 5") as short:
        lens.trace("The red car stopped near the big old tree.")
    assert short.value.reason == "over_setting"


def test_a_text_over_the_setting_is_said_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state.drop_all()
    monkeypatch.setenv("HEADLIGHT_TOKENS_PER_TEXT", "3")
    app = opened()
    server_state.drop_all()  # the model that reads so little
    assert "this server reads at most 3" in errors(app)
    assert "tokens_per_text" in errors(app)


def test_settings_that_cannot_be_understood_open_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADLIGHT_SESSIONS", "many")
    app = opened()
    assert "HEADLIGHT\\_SESSIONS cannot be understood" in errors(app)
    assert not app.text_area
    monkeypatch.setattr(policy, "is_shared", lambda: True)
    app = opened()
    assert "Who runs it finds the reason in its log" in errors(app)
    assert "HEADLIGHT" not in errors(app)
    monkeypatch.delenv("HEADLIGHT_SESSIONS")
    assert not opened().error


def test_a_full_server_says_so_and_a_browser_that_leaves_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADLIGHT_SESSIONS", "2")
    sessions._admitted.update({"a", "b"})
    app = opened()
    assert "2 browsers are connected" in errors(app)
    assert not app.text_area
    monkeypatch.setattr(sessions, "is_connected", lambda one: one != "a")
    app.button("limits_again").click().run()
    assert not errors(app)
    assert app.text_area


def test_uploads_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADLIGHT_UPLOADS", "no")
    assert not opened().exception
    assert "cannot be uploaded" in policy.sentence()


def test_every_address_but_loopback_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert st.get_option("server.address") == "127.0.0.1"
    assert not policy.is_shared()
    for host, shared in (("localhost", False), ("::1", False), ("", True), (None, True), ("0.0.0.0", True)):
        monkeypatch.setattr(st, "get_option", lambda name, host=host: host)
        assert policy.is_shared() is shared
    assert not policy.came_by_proxy({"Host": "localhost"})
    assert policy.came_by_proxy({"X-Forwarded-For": "192.168.1.7"})


def test_a_visitor_who_came_by_a_proxy_makes_the_server_a_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    opened()
    assert settings.current() == ALONE
    monkeypatch.setattr(policy, "came_by_proxy", lambda headers: True)
    opened()
    assert settings.current() == SHARED
    monkeypatch.setattr(policy, "came_by_proxy", lambda headers: False)
    opened()
    assert settings.current() == SHARED  # it stays one


def test_the_accounts_token_is_for_listed_repositories() -> None:
    assert account_token("any/thing") is None
    settings.install(SHARED)
    assert account_token("any/thing") is False
    settings.install(Settings(account_repositories=("meta/*", "a/b")))
    assert [account_token(name) for name in ("meta/x", "a/b", "a/c", "metas/x")] == [None, None, False, False]
