"""A client of Streamlit's websocket protocol without a browser, cheap enough to run thirty of them."""

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
from streamlit.runtime.state.session_state import STREAMLIT_INTERNAL_KEY_PREFIX
from websockets.sync.client import connect

TIMEOUT = 120.0  # seconds for one run of the page's script


@dataclass
class ScriptRun:
    """The messages of one run of the page's script.

    Attributes:
        seconds: from the request to the end of the run.
        drawn: seconds from the request to the last figure; mapped: to the large heat map.
        bytes: total size of the messages on the wire.
        figures: key of the widget -> Plotly figure as JSON, also those that were in the client's cache.
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
        self._fragments: dict[str, str] = {}  # id of a widget -> the fragment that runs when it changes
        self._head = {"layer": 0, "head": 0}  # of the tile that was clicked last
        self._cached_messages: dict[str, ForwardMsg] = {}  # large ones, which the server does not send twice

    def close(self) -> None:
        self._socket.close()

    def has(self, key: str) -> bool:
        """Whether the page has a widget."""
        return key in self._ids

    def visit(self, page: str = "heads") -> ScriptRun:
        """Open a page. page: its address, "" for the app's first one"""
        self._page = self._pages.get(page, "")
        return self._run(page="" if self._page else page)

    def choose(self, key: str, option: Any) -> ScriptRun:
        """Press one of a row of buttons; where heads have tiles, click the one of this layer or head."""
        if key in self._head and key not in self._ids:
            self._head[key] = option
            return self._trigger("flip", "head", list(self._head.values()))
        state = self._state(key)
        state.string_array_value.data[:] = [str(option)]
        return self._run(self._fragments[state.id])

    def open_layer(self, box: str) -> ScriptRun:
        """Click a folded layer in the picture of the whole model. box: its name there, as "encoder.2" """
        return self._trigger("script_whole", "click", box)

    def slide(self, key: str, value: float) -> ScriptRun:
        """Move a slider."""
        state = self._state(key)
        state.double_array_value.data[:] = [value]
        return self._run(self._fragments[state.id])

    def write(self, key: str, text: str) -> ScriptRun:
        """Fill a text box."""
        state = self._state(key)
        state.string_value = text
        return self._run(self._fragments[state.id])

    def _trigger(self, key: str, event: str, value: object) -> ScriptRun:
        """Send an event of a component, as the browser does: it is in the state of one run only."""
        component = self._ids[key]
        state = WidgetState(id=f"{STREAMLIT_INTERNAL_KEY_PREFIX}_{component}__events")
        state.json_trigger_value = json.dumps([{"event": event, "value": value}])
        self._states[state.id] = state
        try:
            return self._run(self._fragments[component])
        finally:
            del self._states[state.id]

    def _state(self, key: str) -> WidgetState:
        """A new state of a widget, which replaces the one before."""
        state = WidgetState(id=self._ids[key])
        self._states[state.id] = state
        return state

    def _run(self, fragment: str = "", page: str = "") -> ScriptRun:
        """Request a run of the page or of one fragment, and read its messages to the end.

        Args:
            page: the address of the page, before its number is known.
        """
        back_message = BackMsg()
        request = back_message.rerun_script
        request.query_string, request.page_script_hash, request.fragment_id = self._query, self._page, fragment
        request.page_name = page
        request.widget_states.widgets.extend(self._states.values())
        request.cached_message_hashes.extend(self._cached_messages)
        start = time.perf_counter()
        self._socket.send(back_message.SerializeToString())
        run = ScriptRun()
        while True:
            raw = self._socket.recv(timeout=TIMEOUT)
            assert isinstance(raw, bytes)
            run.bytes += len(raw)
            message = ForwardMsg.FromString(raw)
            if message.WhichOneof("type") == "ref_hash":
                message = self._cached_messages[message.ref_hash]
            elif message.metadata.cacheable:
                self._cached_messages[message.hash] = message
            before = set(run.figures)
            self._read(message, run)
            if came := set(run.figures) - before:
                run.drawn = time.perf_counter() - start
                run.mapped = run.drawn if "heatmap" in came else run.mapped
            if (
                message.WhichOneof("type") == "script_finished"
                and message.script_finished != message.FINISHED_EARLY_FOR_RERUN
            ):
                run.seconds = time.perf_counter() - start
                return run

    def _read(self, message: ForwardMsg, run: ScriptRun) -> None:
        """Add one message to the run, and note its pages and widgets."""
        message_type = message.WhichOneof("type")
        if message_type == "navigation":
            self._pages = {page.url_pathname: page.page_script_hash for page in message.navigation.app_pages}
            self._page = message.navigation.page_script_hash
        elif message_type == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            kind = element.WhichOneof("type")
            widget = getattr(element, kind)
            key = getattr(widget, "id", "").rpartition("-")[2]
            if key:
                self._ids[key], self._fragments[widget.id] = widget.id, message.delta.fragment_id
            if kind == "plotly_chart":
                run.figures[key] = widget.spec
            elif kind == "markdown":
                run.texts.append(widget.body)
            elif kind == "exception":
                run.errors.append(widget.message)
            elif kind == "alert" and widget.format == widget.ERROR:  # the pages' guard
                run.errors.append(widget.body)


def heatmap_values(figure: str) -> np.ndarray:
    """The values of a figure's heat map as sent to the browser. [row, column]"""
    sent: Any = next(part["z"] for part in json.loads(figure)["data"] if part["type"] == "heatmap")
    if not isinstance(sent, dict):
        return np.array(sent)
    shape = [int(length) for length in str(sent.get("shape", "-1")).split(",")]
    return np.frombuffer(base64.b64decode(sent["bdata"]), sent["dtype"]).reshape(shape)
