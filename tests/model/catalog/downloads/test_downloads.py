"""Downloads from a hub that breaks off, is slow or lies, onto a disk without room; Cancel, the queue, two servers."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

import model
from model.catalog import fetching, store
from model.catalog.downloads import queue as queue_module
from model.catalog.downloads import record, transfer
from model.catalog.downloads.plan import Cancelled, Plan, RemoteFile, Report
from model.catalog.downloads.queue import DownloadQueue
from model.errors import ModelError
from model.settings.settings import Settings, install
from tests.model.catalog.hub_server import Hub
from tests.model.huggingface.test_families import TEXT

NAME = "somebody/tiny"
WEIGHTS = "model.safetensors"


def quiet(phase: str, done: int, total: int) -> None:
    assert phase in ("running", "unpacking", "elsewhere")
    assert 0 <= done <= total


def stop_after(count: int) -> Report:
    """A report that cancels the download after this many bytes."""

    def report(phase: str, done: int, total: int) -> None:
        if done > count:
            raise Cancelled

    return report


def fetch() -> Path:
    return fetching.fetch(fetching.plan_download(NAME), quiet)


def error_of(call: Callable[[], object]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        call()
    assert str(caught.value).endswith(".")
    assert "/tmp" not in str(caught.value)
    return caught.value


def test_the_size_is_known_before_anything_is_fetched(hub: Hub) -> None:
    plan = fetching.plan_download(NAME)
    files = [file for file in hub.folder.iterdir() if file.suffix != ".py"]
    assert plan.size == sum(file.stat().st_size for file in files)
    assert hub.sent == 0
    assert {file.name for file in plan.files} == {file.name for file in files}
    assert not store.download_folder().exists()


def test_what_was_cancelled_goes_on_where_it_stopped(hub: Hub) -> None:
    plan = fetching.plan_download(NAME)
    for share in (0.4, 0.8):
        with pytest.raises(Cancelled):
            fetching.fetch(plan, stop_after(int(share * plan.size)))
        assert fetching.bytes_here(plan) > 0.9 * share * plan.size
        assert store.local_folder(NAME) is None
    hub.sent, before = 0, fetching.bytes_here(plan)
    fetching.fetch(plan, quiet)
    assert hub.sent < plan.size - before + 60_000  # the last pieces of the cancelled one may be counted here
    assert model.load(NAME, "cpu").trace(TEXT).verify().ok
    assert [*(store.download_folder() / ".parts").rglob("*.safetensors")] == []


def test_what_broke_off_goes_on_where_it_stopped(hub: Hub) -> None:
    hub.cut = {WEIGHTS}
    assert error_of(fetch).reason == "interrupted"
    plan = fetching.plan_download(NAME)
    here = fetching.bytes_here(plan)
    assert here > plan.size / 3
    hub.cut, hub.sent = set(), 0
    fetch()
    assert hub.sent == plan.size - here


def test_a_server_that_knows_no_parts_is_asked_from_the_beginning(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = fetching.plan_download(NAME)
    with pytest.raises(Cancelled):
        fetching.fetch(plan, stop_after(plan.size // 2))
    monkeypatch.setattr(hub, "ranges", False)
    fetch()
    assert model.load(NAME, "cpu").trace(TEXT).verify().ok


def test_files_longer_than_said_or_other_ones_are_not_used(hub: Hub) -> None:
    hub.longer = {WEIGHTS}
    assert "longer than its source said" in str(error_of(fetch))
    hub.longer, hub.other = set(), {WEIGHTS}
    shutil.rmtree(store.download_folder())
    assert error_of(fetch).reason == "changed"
    assert store.local_folder(NAME) is None
    hub.other = set()
    fetch()
    assert model.load(NAME, "cpu").trace(TEXT).verify().ok


def test_names_with_paths_in_the_list_of_files_are_left_out(hub: Hub, tmp_path: Path) -> None:
    hub.renamed = {"special_tokens_map.json": "../../escaped.json", "tokenizer_config.json": ".headlight.json"}
    plan = fetching.plan_download(NAME)
    assert not any("/" in file.name or file.name.startswith(".") for file in plan.files)


def test_a_download_over_the_cap_is_refused_before_it_begins(hub: Hub) -> None:
    install(Settings(largest_download=1000))
    error = error_of(fetch)
    assert error.reason == "download_cap"
    assert "at most 1 MB" in str(error)
    assert hub.sent == 0


def test_a_disk_without_room_is_said_before_and_during_a_download(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    error = error_of(fetch)
    assert error.reason == "disk"
    assert "1 MB are free" in str(error)
    assert hub.sent == 0
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "full"), (errno.EDQUOT, "full"), (errno.EROFS, "cannot be written")]
)
def test_a_disk_that_fills_up_is_said_and_what_has_come_is_kept(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    real = Path.open

    class Full:
        def __init__(self, file: object) -> None:
            self.file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()  # type: ignore[attr-defined]

        def write(self, content: bytes) -> None:
            if self.file.tell() > 60_000:  # type: ignore[attr-defined]
                raise OSError(number, os.strerror(number))
            self.file.write(content)  # type: ignore[attr-defined]

    def opened(self: Path, mode: str = "r", *args: object, **options: object) -> object:
        file = real(self, mode, *args, **options)  # type: ignore[arg-type, call-overload]
        return Full(file) if mode in ("ab", "wb") else file

    monkeypatch.setattr(Path, "open", opened)
    error = error_of(fetch)
    assert error.reason == "disk"
    assert said in str(error)
    monkeypatch.setattr(Path, "open", real)
    plan = fetching.plan_download(NAME)
    assert fetching.bytes_here(plan) > 0
    assert fetching.fetch(plan, quiet).is_dir()


def test_a_folder_that_cannot_be_written_is_said(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADLIGHT_HOME", str(tmp_path / "file" / "models"))
    assert "cannot be written" in str(error_of(fetch))


def test_the_accounts_token_goes_to_listed_repositories_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    install(Settings(account_repositories=()))
    fetch()
    assert hub.tokens == []
    shutil.rmtree(store.download_folder())
    install(Settings(account_repositories=("somebody/*",)))
    fetch()
    assert set(hub.tokens) == {"Bearer hf_secret"}


def test_two_servers_that_fetch_the_same_model_fetch_it_once(hub: Hub) -> None:
    hub.pause = 0.02
    code = (
        "import sys; from huggingface_hub import constants as c; c.ENDPOINT = sys.argv[1]; "
        "c.HUGGINGFACE_CO_URL_TEMPLATE = sys.argv[1] + '/{repo_id}/resolve/{revision}/{filename}'; "
        "from model.catalog import fetching; "
        f"print(fetching.find_or_fetch({NAME!r}, lambda share, what: None))"
    )
    command = [sys.executable, "-c", code, f"http://127.0.0.1:{hub.server_port}"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    found = [one.communicate(timeout=60) for one in started]
    assert [one.returncode for one in started] == [0, 0], found
    assert found[0][0] == found[1][0]
    assert hub.sent == fetching.plan_download(NAME).size
    assert model.load(NAME, "cpu").trace(TEXT).verify().ok


@pytest.mark.parametrize("file", [WEIGHTS, "config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 3000])
def test_a_damaged_file_of_our_own_is_named_dropped_and_fetched_again(hub: Hub, file: str, content: bytes) -> None:
    folder = fetch()
    (folder / file).write_bytes(content)
    error = error_of(lambda: model.load(NAME, "cpu"))
    assert error.reason == "damaged"
    assert file in str(error)
    assert store.local_folder(NAME) is None
    assert model.load(NAME, "cpu").trace(TEXT).verify().ok


def test_a_damaged_file_of_the_hubs_cache_is_dropped_and_ones_own_folder_is_left_alone(
    hub: Hub, tmp_path: Path
) -> None:
    from huggingface_hub import snapshot_download

    snapshot = Path(snapshot_download(NAME, allow_patterns=["*.json", "*.txt", "*.safetensors"]))
    assert store.local_folder(NAME) == snapshot
    assert record.drop_damaged(NAME) == []
    (snapshot / WEIGHTS).resolve().write_bytes(b"{")
    error = error_of(lambda: model.load(NAME, "cpu"))
    assert error.reason == "damaged"
    assert WEIGHTS in str(error)
    assert store.local_folder(NAME) is None
    assert fetch().is_dir()
    own = tmp_path / "own"
    shutil.copytree(hub.folder, own)
    (own / WEIGHTS).write_bytes(b"{")
    with pytest.raises(ModelError) as caught:
        model.load(str(own), "cpu")
    assert caught.value.reason == "files_damaged"
    assert (own / WEIGHTS).is_file()


def test_a_file_without_a_byte_is_fetched_too(hub: Hub, tmp_path: Path) -> None:
    (hub.folder / "merges.txt").write_text("")
    assert (fetch() / "merges.txt").read_text() == ""


def made_plan(name: str) -> Plan:
    return Plan(name, "made up", (RemoteFile("config.json", "http://127.0.0.1:9/", 10, "sha256:0"),))


def test_one_download_runs_at_a_time_and_everybody_is_told_what_it_waits_for() -> None:
    order: list[str] = []
    go = threading.Event()

    def slow(plan: Plan, report: Report) -> None:
        order.append(plan.name)
        while not go.wait(0.01):
            report("running", 5, 10)

    downloads = DownloadQueue(slow)
    with downloads.waiting(made_plan("a")) as first, downloads.waiting(made_plan("b")) as second:
        with downloads.waiting(made_plan("a")) as again:
            assert again is first
            assert first.waiting == 2
        time.sleep(0.1)
        assert order == ["a"]
        assert downloads.before(second) == ["a"]
        assert (second.phase, first.phase, first.done) == ("queued", "running", 5)
        go.set()
        assert first.ended.wait(5)
        assert second.ended.wait(5)
    assert order == ["a", "b"]
    assert first.error is second.error is None
    assert downloads.find("a") is None


def test_a_download_ends_when_nobody_waits_and_goes_on_while_somebody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "GRACE_SECONDS", 0.3)

    def endless(plan: Plan, report: Report) -> None:
        while True:
            report("running", 1, 10)
            time.sleep(0.01)

    downloads = DownloadQueue(endless)
    with downloads.waiting(made_plan("a")) as job:
        with downloads.waiting(made_plan("a")):
            pass
        downloads.leave(job)
        assert not job.ended.wait(0.5)
    assert not job.ended.wait(0.1)  # a page that runs anew is back by then
    with downloads.waiting(made_plan("a")) as same:
        assert same is job
    assert job.ended.wait(2)
    assert isinstance(job.error, Cancelled)
    with downloads.waiting(made_plan("a")) as other:
        time.sleep(0.05)
    downloads.leave(other)
    assert other.ended.wait(0.2)


def test_parts_that_nobody_goes_on_with_are_dropped_by_the_next_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADLIGHT_HOME", str(tmp_path))
    now = time.time()
    folders = {name: record.parts_folder(name) for name in ("old", "held", "mine", "new")}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(b"half")
        (folder / "lock").touch()
        if name != "new":
            for path in (folder / "weights", folder / "lock", folder):
                os.utime(path, (now, now - record.PARTS_KEPT - 60))
    at_work = record.parts_folder("at work")  # by another program, which has just moved what is listed
    at_work.mkdir()
    (at_work / "gone").symlink_to(at_work / "moved")
    with FileLock(folders["held"] / "lock"):
        os.utime(folders["held"] / "lock", (now, now - record.PARTS_KEPT - 60))
        dropped = record.drop_abandoned_parts(now, folders["mine"])
    assert dropped == [folders["old"].name]
    assert [name for name, folder in folders.items() if folder.exists()] == ["held", "mine", "new"]


def test_a_download_that_fails_does_not_end_the_queue() -> None:
    def fail(plan: Plan, report: Report) -> None:
        if plan.name == "a":
            raise RuntimeError("no")

    downloads = DownloadQueue(fail)
    with downloads.waiting(made_plan("a")) as first, downloads.waiting(made_plan("b")) as second:
        assert first.ended.wait(5)
        assert second.ended.wait(5)
    assert isinstance(first.error, RuntimeError)
    assert second.error is None


def test_nothing_larger_than_a_file_is_is_kept(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"x" * 100)
    part.with_name("link").symlink_to("/dev/zero")
    assert transfer.size_of(part) == 100
    assert transfer.size_of(part.with_name("link")) == transfer.size_of(tmp_path) == 0
