"""What a page shows of a download: the size and a question first, progress, Cancel, and why one cannot be had."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.catalog import fetching, store
from model.catalog.downloads.plan import Cancelled, Plan, RemoteFile, Report
from model.catalog.downloads.queue import DownloadQueue
from model.catalog.entries import CATALOG, Entry
from model.errors import ModelError
from model.settings import settings
from tests.app.driving import APP
from viz.frame.limits import downloads

NAME = "large"
PLAN = Plan(NAME, NAME, (RemoteFile("config.json", "http://127.0.0.1:9/", 250_000_000, "sha256:0"),))


class Source:
    """Stands for the network: asked for plans, and downloads that last until `go`."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = threading.Event()
        self.error: Exception | None = None

    def fetch(self, plan: Plan, report: Report) -> None:
        self.begun.append(plan.name)
        while not self.go.wait(0.02):
            report("running", 100_000_000, plan.size)
        if self.error:
            raise self.error


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Source]:
    made = Source()
    # In the list, as AppTest cannot send back a model that was typed.
    monkeypatch.setitem(CATALOG, NAME, Entry("Large", "decoder", 250, "MIT", "tests", ("decoder", 0, 0)))
    monkeypatch.setenv("HEADLIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(downloads, "plan_download", lambda name: replace(PLAN, licence=CATALOG[NAME].licence))
    monkeypatch.setattr(downloads, "_queue", DownloadQueue(made.fetch))
    monkeypatch.setattr(downloads, "free_bytes", lambda: 5_000_000_000)
    monkeypatch.setattr(fetching, "free_bytes", lambda: 5_000_000_000)
    yield made
    made.go.set()
    settings.install(settings.ALONE)


def asked() -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["model"] = NAME
    return app.run()


def test_nothing_is_fetched_before_the_size_was_said_and_the_reader_agreed(source: Source) -> None:
    app = asked()
    assert "takes 250 MB; 5.0 GB are free" in app.info[0].value
    assert "Its licence is MIT." in app.info[0].value
    assert not app.warning
    assert app.button("download_go").label == "Download 250 MB"
    assert source.begun == []
    app.run()
    assert source.begun == []
    source.go.set()
    source.error = ModelError("changed", "It is another file.")
    app.button("download_go").click().run()
    assert source.begun == [NAME]
    assert "not the file that was pinned" in app.error[0].value
    app.run()
    assert source.begun == [NAME]  # asked anew
    assert app.button("download_go")


def test_a_licence_that_forbids_commercial_use_is_said_with_the_question(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOG, NAME, Entry("Large", "decoder", 250, "CC-BY-NC-4.0", "tests", ("decoder", 0, 0)))
    app = asked()
    assert "not for anything commercial: its licence is CC-BY-NC-4.0" in app.warning[0].value
    assert app.button("download_go")
    assert source.begun == []


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("", "The hub names no licence for it"),
        ("apache-2.0", "Its licence is apache-2.0."),
        ("cc-by-nc-sa-4.0", "not for anything commercial: its licence is cc-by-nc-sa-4.0"),
    ],
)
def test_the_licence_of_a_model_outside_the_catalog_is_the_hubs(
    licence: str, said: str, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(PLAN, name="somebody/large", licence=licence)
    monkeypatch.setattr(downloads, "plan_download", lambda name: plan)

    def page() -> None:
        import streamlit as st

        from viz.frame import session
        from viz.frame.limits import downloads

        try:
            downloads.bring("somebody/large")
        except session.Halt:
            st.caption("asked")

    app = AppTest.from_function(page).run()
    assert not app.exception
    assert app.caption[0].value == "asked"
    assert said in " ".join(one.value for one in [*app.info, *app.warning]).replace("\\", "")
    assert source.begun == []


def test_a_download_over_the_cap_or_without_room_is_said_instead(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.install(settings.Settings(largest_download=1e8))
    app = asked()
    assert "larger download than this server allows" in app.error[0].value
    assert "largest\\_download" in app.error[0].value or "largest_download" in app.error[0].value
    settings.install(settings.ALONE)
    monkeypatch.setattr(fetching, "free_bytes", lambda: 1_000_000)
    app = asked()
    assert "The disk has no room" in app.error[0].value


def test_a_download_that_broke_off_goes_on_at_try_again(source: Source) -> None:
    app = asked()
    source.go.set()
    source.error = ModelError("interrupted", "It broke off.")
    app.button("download_go").click().run()
    assert "goes on where it stopped" in app.error[0].value
    app.button("again").click().run()
    assert source.begun == [NAME, NAME]


def test_who_cancels_is_asked_again_while_others_wait_on(source: Source) -> None:
    queue = downloads._queue
    with queue.waiting(PLAN) as job:
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.query_params["model"] = NAME
        app.session_state["download_cancelled"] = NAME
        app.run()
        assert app.button("download_go")  # asked, though somebody else fetches it
        assert not job.ended.is_set()
    queue.leave(job)
    assert job.ended.wait(2)
    assert isinstance(job.error, Cancelled)


def test_what_others_fetch_is_waited_for_together(source: Source) -> None:
    def go_on_once_the_page_waits_too() -> None:
        while job.waiting < 2:
            time.sleep(0.01)
        source.go.set()

    with downloads._queue.waiting(PLAN) as job:
        source.error = ModelError("changed", "It is another file.")
        threading.Thread(target=go_on_once_the_page_waits_too, daemon=True).start()
        app = asked()
        assert job.ended.is_set()
        assert source.begun == [NAME]
        assert "not the file that was pinned" in app.error[0].value


def test_an_adapters_base_is_asked_for_too(source: Source, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{NAME}"}}')
    assert store.adapter_base(str(folder)) == NAME
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["model"] = str(folder)
    app.run()
    assert app.button("download_go").label == "Download 250 MB"
    assert source.begun == []
    assert "**Large**" in app.info[0].value
