"""An HTTP server that responds as a replica does, without Ray: `python -m tests.bench.replica` prints its address."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as app.py does, before torch is imported

import torch

from model.remote.request_handler import RequestHandler


class Handler(BaseHTTPRequestHandler):
    """Passes each request to a `RequestHandler`."""

    protocol_version = "HTTP/1.1"
    handler = RequestHandler("cpu")

    def do_POST(self) -> None:
        status, reply = self.handler.handle(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(status)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args: object) -> None:
        """Quiet."""


if __name__ == "__main__":
    torch.set_num_threads(1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
