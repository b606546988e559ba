"""A browser's side of Streamlit's protocol without a browser: cheap enough to have thirty of them."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

PATIENCE = 120.0  # seconds that a run of the page may take


@dataclass
class Answer:
    """What one run of the page sent.

    Attributes:
        seconds: from the request to the end of the run; drawn: to the last figure; mapped: to the large map.
        bytes: all messages together, as they crossed the wire.
        figures: key of the widget -> Plotly figure as JSON; those that the client had already are there too.
        texts: all Markdown; errors: all exceptions.
    """

    seconds: float = 0.0
    drawn: float = 0.0
    mapped: float = 0.0
    bytes: int = 0
    figures: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Client:
    """One session of a running app."""

    def __init__(self, address: str, **query: str) -> None:
        self._socket = connect(
            address.replace("http", "ws") + "/_stcore/stream", max_size=None, subprotocols=["streamlit"]
        )
        self._query = urlencode(query)
        self._page = ""
        self._pages: dict[str, str] = {}
        self._states: dict[str, WidgetState] = {}
        self._ids: dict[str, str] = {}  # key of a widget -> its id
        self._pieces: dict[str, str] = {}  # id of a widget -> the piece of the page that runs when it changes
        self._kept: dict[str, ForwardMsg] = {}  # large messages, which the server does not send twice

    def close(self) -> None:
        self._socket.close()

    def visit(self, page: str | None = None) -> Answer:
        """Open a page, the app's first one where none is named."""
        self._page = "" if page is None else self._pages[page]
        return self._run()

    def choose(self, key: str, option: object) -> Answer:
        """Press one of a row of buttons."""
        state = self._state(key)
        state.string_array_value.data[:] = [str(option)]
        return self._run(self._pieces[state.id])

    def write(self, key: str, text: str) -> Answer:
        """Fill a text box."""
        state = self._state(key)
        state.string_value = text
        return self._run(self._pieces[state.id])

    def _state(self, key: str) -> WidgetState:
        state = WidgetState(id=self._ids[key])
        self._states[state.id] = state
        return state

    def _run(self, piece: str = "") -> Answer:
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.page_script_hash, asked.fragment_id = self._query, self._page, piece
        asked.widget_states.widgets.extend(self._states.values())
        asked.cached_message_hashes.extend(self._kept)
        start = time.perf_counter()
        self._socket.send(message.SerializeToString())
        answer = Answer()
        while True:
            raw = self._socket.recv(timeout=PATIENCE)
            assert isinstance(raw, bytes)
            answer.bytes += len(raw)
            said = ForwardMsg.FromString(raw)
            if said.WhichOneof("type") == "ref_hash":
                said = self._kept[said.ref_hash]
            elif said.metadata.cacheable:
                self._kept[said.hash] = said
            before = set(answer.figures)
            self._read(said, answer)
            if came := set(answer.figures) - before:
                answer.drawn = time.perf_counter() - start
                answer.mapped = answer.drawn if "heatmap" in came else answer.mapped
            if said.WhichOneof("type") == "script_finished" and said.script_finished != said.FINISHED_EARLY_FOR_RERUN:
                answer.seconds = time.perf_counter() - start
                return answer

    def _read(self, said: ForwardMsg, answer: Answer) -> None:
        what = said.WhichOneof("type")
        if what == "navigation":
            self._pages = {page.url_pathname: page.page_script_hash for page in said.navigation.app_pages}
            self._page = said.navigation.page_script_hash
        elif what == "delta" and said.delta.WhichOneof("type") == "new_element":
            element = said.delta.new_element
            kind = element.WhichOneof("type")
            widget = getattr(element, kind)
            key = getattr(widget, "id", "").rpartition("-")[2]
            if key:
                self._ids[key], self._pieces[widget.id] = widget.id, said.delta.fragment_id
            if kind == "plotly_chart":
                answer.figures[key] = widget.spec
            elif kind == "markdown":
                answer.texts.append(widget.body)
            elif kind == "exception":
                answer.errors.append(widget.message)


def cells(figure: str) -> np.ndarray:
    """The numbers of a figure's heat map, as the browser gets them."""
    sent: Any = next(part["z"] for part in json.loads(figure)["data"] if part["type"] == "heatmap")
    if not isinstance(sent, dict):
        return np.array(sent)
    shape = [int(length) for length in str(sent.get("shape", "-1")).split(",")]
    return np.frombuffer(base64.b64decode(sent["bdata"]), sent["dtype"]).reshape(shape)
