"""Transports to the server that runs the models: HTTP, or a Ray client; and the server's address."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from model.errors import ModelError
from model.remote.access import (
    SECRET_HEADER,
    SECRET_VARIABLE,
    client_is_turned_away,
    follow_token_mode,
    token_sentence,
)

SERVE_APP, SERVE_METHOD = "headlight", "ask"  # names of the Ray Serve application and of its method for Ray clients
AFFINITY_HEADER = "serve_multiplexed_model_id"  # by this HTTP header Ray Serve routes a request to a replica
TIMEOUT_SECONDS = 60.0  # for one response
Reply = tuple[int, bytes, str]  # status, body, and the replica that responded


class Unreachable(Exception):  # noqa: N818  (not an error yet: the caller sends the request again)
    """A request got no response; another replica may respond to it."""


class Transport(Protocol):
    """Sends requests to a server. Safe to use from many threads."""

    def send(self, body: bytes, replica: str = "") -> Reply:
        """The server's response.

        Args:
            body: a packed message; replica: the preferred replica, "" for any.

        Raises:
            Unreachable: there was no response; another attempt may succeed.
            ModelError: no attempt can succeed ("backend_missing", "backend_version").
        """
        ...


class HttpTransport:
    """A server at "http://host:port"."""

    def __init__(self, address: str) -> None:
        import requests

        self._address, self._session = address, requests.Session()

    def send(self, body: bytes, replica: str = "") -> Reply:
        import requests

        headers = {SECRET_HEADER: secret} if (secret := os.environ.get(SECRET_VARIABLE)) else {}
        headers |= {AFFINITY_HEADER: replica} if replica else {}
        try:
            # Not followed elsewhere: the secret is for this address.
            reply = self._session.post(
                self._address, data=body, timeout=TIMEOUT_SECONDS, headers=headers, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Unreachable(f"The server {self._address} cannot be reached: {error}") from error
        return reply.status_code, reply.content, reply.headers.get("replica", "")


class RayTransport:
    """A Ray cluster at "ray://host:port". A process can be the client of only one cluster at a time."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._handle: Any = None
        self._lock = threading.Lock()

    def send(self, body: bytes, replica: str = "") -> Reply:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._send(body, replica)
        with ThreadPoolExecutor(1) as thread:  # Ray does not wait in a thread with an event loop, such as a notebook's
            return thread.submit(self._send, body, replica).result()

    def _send(self, body: bytes, replica: str) -> Reply:
        handle = self._get_handle()
        method = handle.options(method_name=SERVE_METHOD, multiplexed_model_id=replica)
        try:
            reply = method.remote(body, os.environ.get(SECRET_VARIABLE, "")).result(timeout_s=TIMEOUT_SECONDS)
        except Exception as error:  # dead replicas, dead clusters and broken connections have no common exception
            self._drop_lost_handle(handle)
            raise Unreachable(f"The Ray cluster {self._address} did not answer: {error!r:.300}") from error
        return tuple(reply)

    def _get_handle(self) -> Any:
        """The handle of the Ray Serve application; connects first where there is none."""
        with self._lock:
            if self._handle is None:
                self._handle = self._connect()
            return self._handle

    def _connect(self) -> Any:
        """Connect to the cluster; the handle of the application."""
        # Through a client, a replica reports its queue length later than within the default of 0.1 s.
        os.environ.setdefault("RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S", "1")
        follow_token_mode()
        try:
            import ray
            from ray import serve
            from ray.serve.exceptions import RayServeException
        except ImportError as error:
            raise ModelError(
                "backend_missing", f"{self._address} needs Ray: pip install -r requirements-ray.txt ({error})"
            ) from error
        url = urlsplit(self._address)
        try:
            # Ray Client itself waits half a minute for a cluster that does not exist.
            socket.create_connection((url.hostname or "", url.port or 10001), timeout=5).close()
            turned_away = client_is_turned_away(f"{url.hostname}:{url.port or 10001}")
        except (OSError, ValueError) as error:
            raise Unreachable(f"The Ray cluster {self._address} cannot be reached: {error}") from error
        if turned_away:
            raise ModelError("backend_secret", token_sentence(f"The Ray cluster {self._address}"))
        try:
            ray.shutdown()  # else a client stays connected to a cluster that was lost
            ray.init(self._address, namespace=SERVE_APP, log_to_driver=False)
        except (OSError, ValueError) as error:
            raise Unreachable(f"The Ray cluster {self._address} cannot be reached: {error}") from error
        except RuntimeError as error:
            if "Version mismatch" in str(error):  # Ray's message names both versions
                raise ModelError("backend_version", f"{self._address}: {error}") from error
            raise Unreachable(f"The Ray cluster {self._address} takes no client: {error}") from error
        try:
            return serve.get_app_handle(SERVE_APP)
        except RayServeException as error:
            raise ModelError(
                "backend_missing",
                f"Headlight is not on the Ray cluster {self._address}: "
                f"start `python -m model.remote.server` there. ({error})",
            ) from error

    def _drop_lost_handle(self, handle: Any) -> None:
        """Forget the handle after a failed request where the connection is lost, so that the next request connects."""
        from ray.util import client

        with self._lock:
            if self._handle is handle and not client.ray.is_connected():
                self._handle = None


@cache
def transport_for(address: str) -> Transport:
    """The transport to a server; the same one for all its models.

    Raises:
        ModelError: the address is none of "http://", "https://" or "ray://" with a host ("backend_missing").
    """
    url = urlsplit(address)
    if url.scheme == "ray" and url.hostname:
        return RayTransport(address)
    if url.scheme in ("http", "https") and url.hostname:
        return HttpTransport(address)
    raise ModelError(
        "backend_missing",
        f"HEADLIGHT_BACKEND is {address!r}; it must be http://HOST:PORT, https://HOST:PORT or ray://HOST:PORT.",
    )


def backend_address() -> str | None:
    """The address of the server that runs the models, $HEADLIGHT_BACKEND; None where they run in this process."""
    return os.environ.get("HEADLIGHT_BACKEND") or None
