"""The lab over a server that runs the models: the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

import model
from model.remote.client import RemoteModel
from model.remote.request_handler import RequestHandler
from model.translator.translator import Translator

SENTENCES = ["The red car stopped.", "I saw the cat, and the cat saw me."]


class Answering(BaseHTTPRequestHandler):
    """Answers as a replica would."""

    handler = RequestHandler("cpu")

    def do_POST(self) -> None:
        _, reply = self.handler.handle(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_server_gives_the_same_numbers(address: str, lens: Translator) -> None:
    here = model.lab.measure(lens, SENTENCES, resamples=100)
    there = model.lab.measure(RemoteModel(address, "en-fr"), SENTENCES, resamples=100)
    for kind in here.kinds:
        assert there.values[kind] == pytest.approx(here.values[kind], abs=1e-5, nan_ok=True)
        assert np.array_equal(here.counts[kind], there.counts[kind])
