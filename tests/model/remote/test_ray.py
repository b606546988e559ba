"""A real Ray cluster with two replicas: same numbers, none lost when one is killed, none waits for a slow one."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests

from model.errors import InputError, ModelError
from model.remote.client import RemoteModel
from model.remote.messages import PROTOCOL_VERSION, pack
from model.remote.transport import transport_for
from model.translator.translator import Translator
from tests.app.driving import heat, opened

pytestmark = [
    pytest.mark.skipif(
        find_spec("ray") is None and "CI" not in os.environ,
        reason="Ray is missing: pip install -r requirements-ray.txt",
    ),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
TEXT = "The red car stopped."
FACTS = pack({"wire": PROTOCOL_VERSION, "model": "en-fr", "want": "facts"})
SLOW = 6.0  # seconds that tests/model/remote/slow_server.py takes for a request


@dataclass(frozen=True)
class Running:
    """A cluster of one machine: its processes, and how it is reached."""

    process: psutil.Process
    http: str
    client: str
    settings: dict[str, str]

    def replicas(self, app: str = "headlight") -> list[psutil.Process]:
        """The processes that answer for an application."""
        name, found = f"ray::ServeReplica:{app}:headlight", []
        for one in self.process.children(recursive=True):
            with suppress(psutil.Error):  # it has just ended
                found += [one] if " ".join(one.cmdline()).startswith(name) else []
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Until an application answers."""
    for _ in range(240):
        try:
            if requests.post(address, data=FACTS, timeout=60).ok:
                return
        except requests.RequestException:
            pass
        assert server.poll() in (None, 0), f"{server.args} ended with {server.returncode}"
        time.sleep(1)
    pytest.fail(f"{address} does not answer")


def started(command: list[str], folder: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    """The cluster's first process, as soon as it is there. Ray gives up after 30 s: a busy machine tries again."""
    log = folder / "head.log"
    for _ in range(4):
        with log.open("wb") as output:
            head = subprocess.Popen(command, cwd=folder, env=settings, stdout=output, stderr=output)
        while head.poll() is None:
            if "Ray runtime started" in log.read_text(errors="replace"):
                return head
            time.sleep(0.5)
    pytest.fail(log.read_text(errors="replace"))


@pytest.fixture(scope="module")
def bare() -> Iterator[Running]:
    """A cluster, as README says, with nothing on it yet; it was not started in the folder of the code."""
    folder = tempfile.mkdtemp(prefix="hl", dir="/tmp")  # short: sockets lie in it
    ports = {name: free_port() for name in ("head", "client", "http")}
    settings = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "OMP_WAIT_POLICY": "PASSIVE"}
    settings |= {"RAY_ADDRESS": f"127.0.0.1:{ports['head']}"}
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--temp-dir", folder]
    command += ["--port", str(ports["head"]), "--ray-client-server-port", str(ports["client"])]
    command += ["--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats"]
    head = started(command, Path(folder), settings)
    try:
        addresses = (f"http://127.0.0.1:{ports['http']}", f"ray://127.0.0.1:{ports['client']}")
        yield Running(psutil.Process(head.pid), *addresses, settings)
    finally:
        import ray

        ray.shutdown()  # a client tries for long to reach a cluster that is gone
        processes = [psutil.Process(head.pid), *psutil.Process(head.pid).children(recursive=True)]
        head.terminate()
        _, alive = psutil.wait_procs(processes, 20)
        for one in alive:
            one.kill()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_cluster_with_another_version_of_ray_is_said(bare: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "__version__", "2.0.0")
    with pytest.raises(ModelError, match=r"(?s)2\.0\.0") as caught:
        RemoteModel(bare.client, "en-fr")
    assert caught.value.reason == "backend_version"


def test_a_cluster_without_headlight_is_said(bare: Running) -> None:
    with pytest.raises(ModelError, match=r"not on the Ray cluster.*python -m model\.remote\.server") as caught:
        RemoteModel(bare.client, "en-fr")
    assert caught.value.reason == "backend_missing"


@pytest.fixture(scope="module")
def cluster(bare: Running) -> Iterator[Running]:
    """The same cluster with two replicas of Headlight."""
    port = bare.http.rpartition(":")[2]
    command = [sys.executable, "-m", "model.remote.server", "--replicas", "2", "--threads", "1", "--port", port]
    server = subprocess.Popen(command, env=bare.settings | {"HEADLIGHT_TOKENS_PER_TEXT": "120"})
    try:
        wait_for(bare.http, server)
        yield bare
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture(params=["http", "ray"])
def address(request: pytest.FixtureRequest, cluster: Running) -> str:
    return cluster.http if request.param == "http" else cluster.client


def test_a_run_has_the_same_numbers_and_stays_with_its_replica(address: str, lens: Translator) -> None:
    remote = RemoteModel(address, "en-fr")
    for text in (TEXT, "I see a cat.", "He is old.", "Come in!"):
        ours, theirs = lens.trace(text), remote.trace(text)
        assert (theirs.output, theirs.tokens, theirs.ids) == (ours.output, ours.tokens, ours.ids)
        for layer in range(ours.attentions["cross"].num_layers):
            expected = ours.attentions["cross"].weights(layer)
            np.testing.assert_allclose(theirs.attentions["cross"].weights(layer), expected, atol=1e-5)
        assert theirs.verify().ok
    answered: Counter[str] = Counter()
    first = transport_for(address).send(run("trace"))[2]
    for _ in range(20):
        answered[transport_for(address).send(run("states", stack="encoder"), first)[2]] += 1
    # A replica that is too busy to say how busy it is may be passed over, and another computes the run again.
    assert answered[first] >= 16  # of 20; by chance that would be one time in 170


def test_replicas_keep_to_the_settings_of_the_server(address: str) -> None:
    remote = RemoteModel(address, "en-fr")
    with pytest.raises(InputError, match="120"):
        remote.trace("I see a cat. " * 40)
    assert remote.trace("I see a cat. " * 20).output


def test_a_notebook_whose_thread_runs_an_event_loop_is_answered(address: str) -> None:
    async def asked() -> str:
        return str(RemoteModel(address, "en-fr").trace("I see a cat.").output)

    assert asyncio.run(asked()) == "Je vois un chat."


def run(want: str, text: str = TEXT, **more: object) -> bytes:
    """A request for a part of a run."""
    whole = {"texts": [text], "targets": [None], "edits": "", "row": 0}
    return pack({"wire": PROTOCOL_VERSION, "model": "en-fr", "want": want} | whole | more)


def test_wrong_models_and_other_versions_are_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="no model 'no-such-model'") as caught:
        RemoteModel(address, "no-such-model")
    assert caught.value.reason == "unknown"
    monkeypatch.setattr("model.remote.client.PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
    with pytest.raises(ModelError, match=f"app speaks version {PROTOCOL_VERSION + 1}") as caught:
        RemoteModel(address, "en-fr")
    assert caught.value.reason == "backend_version"


def test_the_app_is_a_thin_client(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from viz.frame import server_state

    server_state.drop_all()
    local = heat(opened())["z"]
    server_state.drop_all()
    monkeypatch.setenv("HEADLIGHT_BACKEND", address)
    app = opened()
    server_state.drop_all()
    assert not app.exception
    assert not app.error
    np.testing.assert_allclose(numbers(heat(app)["z"]), numbers(local), atol=1e-5)


def numbers(cells: dict[str, str]) -> np.ndarray:
    """The cells of a heat map, as they go to the browser."""
    shape = [int(length) for length in cells["shape"].split(",")]
    return np.frombuffer(base64.b64decode(cells["bdata"]), cells["dtype"]).reshape(shape)


def test_a_killed_replica_loses_no_request(cluster: Running, address: str, lens: Translator) -> None:
    for _ in range(120):  # the replica that the test before killed has been replaced
        if len(cluster.replicas()) == 2 and len({transport_for(address).send(FACTS)[2] for _ in range(20)}) == 2:
            break
        time.sleep(0.5)
    running = cluster.replicas()
    assert len(running) == 2
    texts = [f"I see {number} trees." for number in range(40)]
    expected = [lens.trace(text).attentions["cross"].weights(0) for text in texts]
    remote = RemoteModel(address, "en-fr")

    def ask(text: str) -> np.ndarray:
        return remote.trace(text).attentions["cross"].weights(0)

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(ask, text) for text in texts]
        while sum(one.done() for one in found) < 5:
            time.sleep(0.05)
        os.kill(running[0].pid, signal.SIGKILL)
        assert sum(one.done() for one in found) < 35  # it was killed in the middle
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.result(), other, atol=1e-5)


def test_a_slow_replica_does_not_stall_the_others(cluster: Running, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.model.remote.slow_server",
        cluster.http.rpartition(":")[2],
        str(tmp_path / "slow"),
    ]
    subprocess.run(command, env=cluster.settings, check=True, timeout=240)
    way = transport_for(f"{cluster.http}/slow")
    slow = (tmp_path / "slow").read_text()
    waits: list[tuple[str, float, float]] = []
    stop = time.monotonic() + 30
    lock = threading.Lock()

    def student(who: int) -> None:
        turn = 0
        while time.monotonic() < stop:
            start = time.monotonic()
            _, _, name = way.send(run("trace", f"I am {who} and {turn}."))
            with lock:
                waits.append((name, start, time.monotonic()))
            turn += 1
            time.sleep(0.2)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(student, range(6)))
    late = [(start, end) for name, start, end in waits if name == slow]
    others = [(start, end) for name, start, end in waits if name != slow]
    waited, rest = (np.array([end - start for start, end in some]) for some in (late, others))
    meanwhile = [sum(start < end < late_end for _, end in others) for start, late_end in late]
    print(
        f"slow: {len(late)} requests, median {np.median(waited):.2f} s; the other: {len(others)}, "
        f"median {np.median(rest):.2f} s, 95 % {np.quantile(rest, 0.95):.2f} s; "
        f"answers while one of the slow ones was awaited: {np.median(meanwhile):.0f} in the median"
    )
    assert waited.min() > SLOW * 0.9
    assert np.median(meanwhile) > 0
    assert np.median(rest) < np.median(waited) / 2
    assert len(others) > 2 * len(late)  # taking turns would be as many to each
