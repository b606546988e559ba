"""How the app reaches the server that runs the models: over HTTP, or as a client of a Ray cluster."""

from __future__ import annotations

import os
import socket
import threading
from functools import cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from model.errors import ModelError

APP, METHOD = "headlight", "ask"  # the application on the cluster, and what it is asked by
STICKY = "serve_multiplexed_model_id"  # the header by which Ray Serve finds the replica that has a run
WAIT = 60.0  # seconds for an answer
Reply = tuple[int, bytes, str]  # status, body, and the replica that answered


class Unreachable(Exception):  # noqa: N818  (it is no end: whoever asked may ask again)
    """A request that got no answer; another replica may answer it."""


class Transport(Protocol):
    """A way to the server; safe to use from many threads."""

    def send(self, body: bytes, at: str = "") -> Reply:
        """What the server answers.

        Args:
            at: the replica that should answer, as long as it lives; any one where it is "".

        Raises:
            Unreachable: there was no answer this time. ModelError: there will be none.
        """
        ...


class HttpTransport:
    """A server behind "http://host:port"."""

    def __init__(self, address: str) -> None:
        import requests

        self._address, self._session = address, requests.Session()

    def send(self, body: bytes, at: str = "") -> Reply:
        import requests

        try:
            reply = self._session.post(self._address, data=body, timeout=WAIT, headers={STICKY: at} if at else {})
        except requests.RequestException as error:
            raise Unreachable(f"The server {self._address} cannot be reached: {error}") from error
        return reply.status_code, reply.content, reply.headers.get("replica", "")


class RayTransport:
    """A Ray cluster behind "ray://host:port". A process is a client of one cluster at a time."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._handle: Any = None
        self._lock = threading.Lock()

    def send(self, body: bytes, at: str = "") -> Reply:
        handle = self._connected()
        try:
            answer = handle.options(method_name=METHOD, multiplexed_model_id=at).remote(body).result(timeout_s=WAIT)
        except Exception as error:  # a dead replica, a dead cluster, a broken connection: each with a class of its own
            self._check_on(handle)
            raise Unreachable(f"The Ray cluster {self._address} did not answer: {error!r:.300}") from error
        return tuple(answer)

    def _connected(self) -> Any:
        """The application's handle; connects first where there is none."""
        with self._lock:
            if self._handle is None:
                self._handle = self._connect()
            return self._handle

    def _connect(self) -> Any:
        # Through a client, asking a replica how busy it is takes longer than the usual 0.1 s.
        os.environ.setdefault("RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S", "1")
        try:
            import ray
            from ray import serve
            from ray.serve.exceptions import RayServeException
        except ImportError as error:
            raise ModelError(
                "backend_missing", f"{self._address} needs Ray: pip install -r requirements-ray.txt ({error})"
            ) from error
        place = urlsplit(self._address)
        try:
            # Ray Client itself would wait half a minute for a cluster that is not there.
            socket.create_connection((place.hostname or "", place.port or 10001), timeout=5).close()
            ray.shutdown()  # a client whose cluster was lost stays connected to nothing
            ray.init(self._address, namespace=APP, log_to_driver=False)
        except (OSError, ValueError) as error:
            raise Unreachable(f"The Ray cluster {self._address} cannot be reached: {error}") from error
        except RuntimeError as error:
            if "Version mismatch" in str(error):  # Ray's own words name both versions
                raise ModelError("backend_version", f"{self._address}: {error}") from error
            raise Unreachable(f"The Ray cluster {self._address} takes no client: {error}") from error
        try:
            return serve.get_app_handle(APP)
        except RayServeException as error:
            raise ModelError(
                "backend_missing",
                f"Headlight is not on the Ray cluster {self._address}: "
                f"start `python -m model.remote.server` there. ({error})",
            ) from error

    def _check_on(self, handle: Any) -> None:
        """After a request that failed: connect anew next time, unless only a replica died."""
        from ray.util import client

        with self._lock:
            if self._handle is handle and not client.ray.is_connected():
                self._handle = None


@cache
def door(address: str) -> Transport:
    """The way to a server, one for all its models.

    Raises:
        ModelError: it is no address of a server.
    """
    place = urlsplit(address)
    if place.scheme == "ray" and place.hostname:
        return RayTransport(address)
    if place.scheme in ("http", "https") and place.hostname:
        return HttpTransport(address)
    raise ModelError(
        "backend_missing",
        f"HEADLIGHT_BACKEND is {address!r}; it must be http://HOST:PORT, https://HOST:PORT or ray://HOST:PORT.",
    )


def backend() -> str | None:
    """The address of the server that runs the models, $HEADLIGHT_BACKEND; None where they run in this process."""
    return os.environ.get("HEADLIGHT_BACKEND") or None
