"""Headlight on a Ray cluster with two replicas, one of which takes seconds for each request. For the tests."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import ray
from ray import serve

from model.remote.request_handler import RequestHandler
from model.remote.server import RUNTIME_ENV, application

SECONDS = 6.0


class Slow(RequestHandler):
    """Right, but late."""

    def handle(self, body: bytes, secret: str = "") -> tuple[int, bytes]:
        time.sleep(SECONDS)
        return super().handle(body, secret)


if __name__ == "__main__":
    port, mark = int(sys.argv[1]), Path(sys.argv[2])

    def one_slow() -> RequestHandler:
        """The first replica that starts is the slow one, and leaves its name in the file."""
        try:
            with mark.open("x") as file:
                file.write(serve.get_replica_context().replica_id.unique_id)
        except FileExistsError:
            return RequestHandler()
        return Slow()

    ray.init(namespace="serve", runtime_env=RUNTIME_ENV)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(application(2, threads=1, make_handler=one_slow), name="slow", route_prefix="/slow")
