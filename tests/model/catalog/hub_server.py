"""A hub of models on this machine, which can be slow, break off, and send other files than it says."""

from __future__ import annotations

import hashlib
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `folder` as somebody/tiny.

    Files in `cut` end in the middle, those in `longer` go on after what the list of files says of them, and those in
    `other` are not what it says.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.cut: set[str] = set()
        self.longer: set[str] = set()
        self.other: set[str] = set()
        self.tokens: list[str] = []  # of the accounts that asked
        self.sent = 0  # bytes of files
        self.pause = 0.0  # seconds between pieces of a file
        self.asked: list[str] = []
        self.ranges = True  # whether parts of files are sent
        self.card: dict[str, object] = {}  # what the model's card says of it
        self.renamed: dict[str, str] = {}  # files under other names in the list


def git_blob(content: bytes) -> str:
    """The checksum that Git gives a file."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        self.server.tokens += self.headers.get_all("Authorization", [])
        folder = self.server.folder
        if "somebody/gated" in path:
            return self.send(403, b"", {"X-Error-Code": "GatedRepo"})
        if "somebody/tiny" not in path:
            return self.send(404, b"", {"X-Error-Code": "RepoNotFound"})
        if "/revision/" in path:
            about = {"_id": "1", "id": "somebody/tiny", "sha": COMMIT, "cardData": self.server.card}
            return self.send(200, json.dumps(about).encode())
        if "/tree/" in path:
            files: list[dict[str, object]] = [
                {"type": "file", "oid": git_blob(f.read_bytes()), "path": f.name, "size": f.stat().st_size}
                for f in folder.iterdir()
            ]
            for one in files:
                if str(one["path"]).endswith(".safetensors"):
                    digest = hashlib.sha256((folder / str(one["path"])).read_bytes()).hexdigest()
                    one["lfs"] = {"oid": digest, "size": one["size"], "pointerSize": 100}
            for one in files:
                one["path"] = self.server.renamed.get(str(one["path"]), one["path"])
            return self.send(200, json.dumps(files).encode())
        file = folder / path.rsplit("/", 1)[1]
        if not file.is_file():
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        content = file.read_bytes()
        content += b"x" * 100_000 if file.name in self.server.longer else b""
        content = bytes(len(content)) if file.name in self.server.other else content
        head = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        if not self.server.ranges:
            start = 0
        if start:
            head["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.send(206 if start else 200, content[start:], head, cut=file.name in self.server.cut)

    def send(self, status: int, content: bytes, head: dict[str, str] | None = None, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in {**(head or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            content = content[: len(content) // 2] if cut else content
            for start in range(0, len(content), 50_000):
                self.wfile.write(content[start : start + 50_000])
                self.wfile.flush()
                self.server.sent += len(content[start : start + 50_000]) if head else 0
                time.sleep(self.server.pause)
        if cut:
            self.close_connection = True
