"""Models behind an address: the same numbers, only what is drawn on the wire, and nothing lost when a replica dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from threading import Thread

import numpy as np
import pytest
import requests
from streamlit.testing.v1 import AppTest

from model.answers import Answers
from model.catalog import ModelError
from model.decoding import Decoding
from model.edits import Edits
from model.errors import InputError
from model.layer import Layer
from model.remote import Remote
from model.trace import Trace
from model.translator import Translator
from model.wire import pack, unpack
from tests.test_app import APP, PAGES, go_to, heat

TEXT = "The red car stopped."


class Counted(BaseHTTPRequestHandler):
    """Answers as a replica would; counts bytes, and fails as often as it is told to."""

    answers = Answers("cpu")
    sent, failing = 0, 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if Counted.failing:
            Counted.failing -= 1
            self.send_error(500)
            return
        status, reply = self.answers.answer(body)
        Counted.sent += len(reply)
        self.send_response(status)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counted)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def same(a: Trace, b: Trace) -> None:
    """Equal in everything a page draws."""
    assert (a.output, a.predicted, a.ids, a.given, a.notes, a.tokens) == (
        b.output,
        b.predicted,
        b.ids,
        b.given,
        b.notes,
        b.tokens,
    )
    for kind, one in a.attentions.items():
        other = b.attentions[kind]
        for layer in range(one.num_layers):
            for name in ("weights", "scores", "query", "key", "value", "mask", "bias"):
                np.testing.assert_array_equal(getattr(one, name)(layer), getattr(other, name)(layer))
            assert one.scale(layer) == other.scale(layer)
    for stack in a.hidden_states:
        np.testing.assert_array_equal(a.hidden_states[stack], b.hidden_states[stack])
        np.testing.assert_array_equal(a.neurons[stack], b.neurons[stack])
    np.testing.assert_array_equal(np.asarray(a.logits), np.asarray(b.logits))


def test_messages_hold_what_was_packed_and_nothing_is_executed() -> None:
    meta, arrays = unpack(pack({"a": [1, None, "é"]}, {"w": np.ones((2, 3), np.float32)}))
    assert meta == {"a": [1, None, "é"]}
    assert arrays["w"].shape == (2, 3)
    for wrong in (b"", b"nonsense", pack({})[:50]):
        with pytest.raises(ValueError, match="no message"):
            unpack(wrong)


@pytest.mark.parametrize("edits", [None, Edits(heads={("cross", 0, 3): 0.0}, positions="shuffled")])
def test_a_remote_run_has_the_same_numbers(address: str, lens: Translator, edits: Edits | None) -> None:
    remote = Remote(address, "en-fr")
    ours, theirs = lens.trace(TEXT, edits=edits), remote.trace(TEXT, edits=edits)
    same(ours, theirs)
    assert theirs.verify().ok
    layer = theirs.multi_head("encoder", 1)
    assert isinstance(layer, Layer) == isinstance(ours.multi_head("encoder", 1), Layer)
    how = Decoding("beam", beams=3)
    assert remote.decode(TEXT, how, edits) == lens.decode(TEXT, how, edits)
    np.testing.assert_array_equal(remote.layer_words(TEXT)[0], lens.layer_words(TEXT)[0])  # type: ignore[index]
    effects, _ = remote.head_effects(TEXT, ours.ids["decoder"][1:])
    np.testing.assert_allclose(effects["cross"], lens.head_effects(TEXT, ours.ids["decoder"][1:])[0]["cross"])
    assert remote.labels([5, 6]) == lens.labels([5, 6])
    np.testing.assert_array_equal(remote.positions().table, lens.positions().table)  # type: ignore[arg-type]
    assert remote.guess(TEXT, 1) is None


def test_only_what_is_drawn_is_sent(address: str) -> None:
    Counted.sent = 0
    trace = Remote(address, "en-fr").trace("I see a very small cat in the old garden.")
    outline = Counted.sent
    assert outline < 20_000
    layer = trace.attentions["encoder"].weights(1)
    assert layer.nbytes < Counted.sent - outline < layer.nbytes + 2_000
    trace.attentions["encoder"].weights(1)
    assert Counted.sent - outline < layer.nbytes + 2_000  # fetched once
    before = Counted.sent
    assert trace.logits is not None
    row = trace.logits[2]
    assert Counted.sent - before < row.nbytes + 2_000


def test_wrong_input_and_wrong_models_say_the_same_as_here(address: str) -> None:
    remote = Remote(address, "en-fr")
    with pytest.raises(InputError, match="empty") as wrong:
        remote.trace(" ")
    assert wrong.value.reason == "text_empty"
    with pytest.raises(InputError, match="nothing left"):
        remote.trace(TEXT, edits=Edits(blocked={("decoder", 0, 0)}))
    with pytest.raises(ModelError) as caught:
        Remote(address, "no-such-model")
    assert caught.value.reason == "unknown"


def test_a_failing_server_is_asked_again_and_a_missing_one_is_said(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    Counted.failing = 3
    assert Remote(address, "en-fr").trace(TEXT).output
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        Remote("http://127.0.0.1:9", "en-fr")
    assert caught.value.reason == "no_network"


def test_the_app_is_a_thin_client(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit as st

    st.cache_resource.clear()
    here = AppTest.from_file(str(APP), default_timeout=120).run()
    local = heat(here)["z"]
    st.cache_resource.clear()
    monkeypatch.setenv("HEADLIGHT_BACKEND", address)
    app = AppTest.from_file(str(APP), default_timeout=120).run()
    assert heat(app)["z"] == local
    assert any(address.removeprefix("http://") in c.value.replace("\\", "") for c in app.caption)
    for page in PAGES:
        go_to(app, page)
        assert not app.exception, page
        assert not app.error, page
    st.cache_resource.clear()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Two replicas on Ray Serve."""
    if find_spec("ray") is None:
        pytest.skip("Ray is missing: pip install -r requirements-ray.txt")
    port = 8123
    command = [sys.executable, "-m", "model.serve", "--replicas", "2", "--threads", "1", "--port", str(port)]
    server = subprocess.Popen(command, env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                if requests.post(address, data=pack({"model": "en-fr", "want": "facts"}), timeout=60).ok:
                    break
            except requests.RequestException:
                time.sleep(1)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def replicas(address: str, tries: int = 60) -> set[int]:
    """The processes that answer."""
    body = pack({"model": "en-fr", "want": "facts"})
    return {int(requests.post(address, data=body, timeout=60).headers["replica"]) for _ in range(tries)}


def test_two_replicas_answer_alike_and_one_that_is_killed_loses_no_request(cluster: str, lens: Translator) -> None:
    ours, theirs = lens.trace(TEXT), Remote(cluster, "en-fr").trace(TEXT)
    assert theirs.output == ours.output
    assert theirs.verify().ok
    running = replicas(cluster)
    assert len(running) == 2
    texts = [f"I see {number} trees." for number in range(40)]
    expected = [lens.trace(text).attentions["cross"].weights(0) for text in texts]

    def ask(text: str) -> np.ndarray:
        return Remote(cluster, "en-fr").trace(text).attentions["cross"].weights(0)

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(ask, text) for text in texts]
        time.sleep(0.5)
        os.kill(min(running), signal.SIGKILL)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.result(), other, atol=1e-5)
