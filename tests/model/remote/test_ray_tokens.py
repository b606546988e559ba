"""A cluster of Ray in token mode, as README recommends: every side with the token works, any other gets a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.model.remote.test_ray import free_port, started, wait_for

pytestmark = [
    pytest.mark.skipif(
        find_spec("ray") is None and "CI" not in os.environ,
        reason="Ray is missing: pip install -r requirements-ray.txt",
    ),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
CLIENT = """
import sys
from model.errors import ModelError
from model.remote.client import RemoteModel
try:
    print("said:", RemoteModel(sys.argv[1], "en-fr").trace("I see a cat.").output)
except ModelError as error:
    print(error.reason, error)
"""


@contextmanager
def cluster_with(home: Path) -> Iterator[tuple[dict[str, str], int, int]]:
    """A cluster that was started from this home folder: settings for its sides, and its ports for clients and HTTP."""
    ports = {name: free_port() for name in ("head", "client", "http")}
    settings = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    settings |= {"HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0", "OMP_WAIT_POLICY": "PASSIVE"}
    settings |= {"RAY_ADDRESS": f"127.0.0.1:{ports['head']}"}
    with tempfile.TemporaryDirectory(prefix="hl", dir="/tmp", ignore_cleanup_errors=True) as folder:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--temp-dir", folder]
        command += ["--port", str(ports["head"]), "--ray-client-server-port", str(ports["client"])]
        command += ["--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats"]
        head = started(command, Path(folder), settings)
        processes = [psutil.Process(head.pid)]
        try:
            yield settings, ports["client"], ports["http"]
        finally:
            processes += processes[0].children(recursive=True)
            head.terminate()
            _, alive = psutil.wait_procs(processes, 20)
            for one in alive:
                with suppress(psutil.Error):
                    one.kill()


def test_every_side_with_the_token_works_and_any_other_gets_a_sentence(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for folder in (home, other):
        folder.mkdir()
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("0123456789abcdef" * 2)  # as `ray get-auth-token --generate` writes it
    with cluster_with(home) as (settings, client_port, http_port):
        serve = [sys.executable, "-m", "model.remote.server", "--threads", "1", "--port", str(http_port)]
        turned_away = subprocess.run(serve, env=settings | {"HOME": str(other)}, capture_output=True, text=True)
        assert turned_away.returncode == 2
        assert "asks for a token" in turned_away.stderr.strip().splitlines()[-1]
        server = subprocess.Popen(serve, env=settings)
        try:
            wait_for(f"http://127.0.0.1:{http_port}", server)
            http, ray = f"http://127.0.0.1:{http_port}", f"ray://127.0.0.1:{client_port}"
            for address in (http, ray):
                assert ask(address, settings) == "said: Je vois un chat."
            for wrong in ({"HOME": str(other)}, {"RAY_AUTH_TOKEN": "f" * 32}):
                begun = time.monotonic()
                assert ask(ray, settings | wrong).startswith(f"backend_secret The Ray cluster {ray} asks for a token")
                assert time.monotonic() - begun < 60
        finally:
            server.terminate()
            server.wait(60)


def ask(address: str, settings: dict[str, str]) -> str:
    """What a client in a process of its own prints last."""
    settings = {name: value for name, value in settings.items() if name != "RAY_ADDRESS"}
    ended = subprocess.run([sys.executable, "-c", CLIENT, address], env=settings, capture_output=True, text=True)
    return ended.stdout.strip().rpartition("\n")[2]
