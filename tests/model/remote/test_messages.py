"""Messages made by hand: each is a sentence, quickly in little memory; the secret."""

from __future__ import annotations

import io
import json
import resource
import struct
import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model.maps.across_layers_torch import MEASURES
from model.remote import access, request_fields, server
from model.remote.messages import (
    MAX_REQUEST_BYTES,
    PROTOCOL_VERSION,
    STATUS_INVALID_INPUT,
    STATUS_MODEL_ERROR,
    STATUS_OK,
    STATUS_WRONG_SECRET,
    pack,
    unpack,
)
from model.remote.request_handler import RequestHandler
from model.translator.translator import Translator

ALWAYS = {"wire": PROTOCOL_VERSION, "model": "en-fr"}
ONE = ALWAYS | {"text": "I see.", "edits": ""}
RUN = ALWAYS | {"texts": ["I see."], "targets": [None], "edits": "", "row": 0}
LAYER = RUN | {"kind": "cross", "layer": 0}
MAP = LAYER | {"head": 0, "queries": [0, 1], "keys": [0, 1], "shape": [2, 2]}
HOW = {"method": "beam", "beams": 4, "max_new_tokens": 20}


@pytest.fixture(scope="module")
def handler() -> RequestHandler:
    return RequestHandler("cpu")


WRONG: dict[str, dict[str, Any]] = {
    "nothing wanted": ALWAYS,
    "wants what there is not": ALWAYS | {"want": "password"},
    "wants a method of an object": LAYER | {"want": "__class__"},
    "wants a list": ALWAYS | {"want": ["facts"]},
    "no model": {"wire": PROTOCOL_VERSION, "want": "facts"},
    "a model that is a number": ALWAYS | {"want": "facts", "model": 7},
    "a model of many letters": ALWAYS | {"want": "facts", "model": "a" * 5_000},
    "no such model": ALWAYS | {"want": "facts", "model": "no-such-model"},
    "a field too many": ALWAYS | {"want": "facts", "more": 1},
    "100,000 beams": ONE | {"want": "decode", "how": HOW | {"beams": 100_000}},
    "no beams": ONE | {"want": "decode", "how": HOW | {"beams": 0}},
    "a million new tokens": ONE | {"want": "decode", "how": HOW | {"max_new_tokens": 10**6}},
    "no such method": ONE | {"want": "decode", "how": {"method": "guess"}},
    "a temperature that is no number": ONE | {"want": "decode", "how": {"temperature": float("nan")}},
    "how is a list": ONE | {"want": "decode", "how": [1]},
    "how has a field too many": ONE | {"want": "decode", "how": HOW | {"x": 1}},
    "5,000 texts": RUN | {"want": "trace", "texts": ["I see."] * 5_000, "targets": [None] * 5_000},
    "a text of a million letters": RUN | {"want": "trace", "texts": ["a" * 10**6]},
    "texts is a text": RUN | {"want": "trace", "texts": "I see."},
    "a text that is a number": RUN | {"want": "trace", "texts": [7]},
    "fewer targets than texts": RUN | {"want": "trace", "targets": []},
    "a row that is not there": RUN | {"want": "trace", "row": 3},
    "a negative row": RUN | {"want": "trace", "row": -1},
    "edits that cannot be read": RUN | {"want": "trace", "edits": "what?"},
    "edits of a million letters": RUN | {"want": "trace", "edits": "x" * 10**6},
    "a target beyond the vocabulary": RUN | {"want": "trace", "targets": [[10**8]]},
    "no such kind": LAYER | {"want": "weights", "kind": "sideways"},
    "no such layer": LAYER | {"want": "weights", "layer": 99},
    "a layer that is true": LAYER | {"want": "weights", "layer": True},
    "no such head": MAP | {"want": "pooled", "head": 99},
    "queries that are not there": MAP | {"want": "pooled", "queries": [0, 900_000]},
    "a map of a billion cells": MAP | {"want": "pooled", "shape": [10**5, 10**5]},
    "a count of a billion": LAYER | {"want": "strongest", "head": 0, "queries": [0], "keys": [0], "count": 10**9},
    "no such measure": LAYER | {"want": "across_layers", "measure": "__init__", "arguments": []},
    "too many arguments": LAYER | {"want": "across_layers", "measure": "rollout", "arguments": [0] * 10},
    "words that are not there": LAYER | {"want": "weights", "words": [[[10**5]], [[0]]]},
    "a selection without queries": LAYER | {"want": "weights", "selection": {"heads": [0, 1]}},
    "no such stack": RUN | {"want": "states", "stack": "middle"},
    "rows of logits as texts": RUN | {"want": "logits", "rows": ["0", "1"]},
    "ids beyond the vocabulary": ALWAYS | {"want": "labels", "ids": [2**31], "together": False},
    "a position that is not there": ONE | {"want": "guess", "position": "here"},
    "an overview of a side of nothing": LAYER | {"want": "overview", "side": 0},
    "no such word to credit": RUN | {"want": "credit", "position": 0, "token": 10**8, "against": None},
    "a word that is a text": RUN | {"want": "credit", "position": 0, "token": "red", "against": None},
    "credit after a token that is not there": RUN | {"want": "credit", "position": 999, "token": 3, "against": None},
    "blocks of no such stack": RUN | {"want": "blocks", "stack": "middle"},
    "a match of no such layer": LAYER | {"want": "why", "layer": 99, "head": 0, "query": 0, "key": 0},
    "a match of no such head": LAYER | {"want": "why", "head": 99, "query": 0, "key": 0},
    "a match of every head": LAYER | {"want": "why", "head": None, "query": 0, "key": 0},
    "a match of a query that is not there": LAYER | {"want": "why", "head": 0, "query": 999, "key": 0},
    "a match of some heads": LAYER | {"want": "why", "head": 0, "query": 0, "key": 0, "words": [[[0]], [[0]]]},
    "16 long texts": RUN | {"want": "trace", "texts": ["a" * 5000] * 16, "targets": [None] * 16},
    "16 long pairs": RUN | {"want": "trace", "texts": [{"text": "a", "pair": "b" * 5000}] * 16, "targets": [None] * 16},
    "a text that has no text": RUN | {"want": "trace", "texts": [{"pair": "b"}]},
    "a text that is a picture's checksum": ONE | {"want": "decode", "how": HOW, "text": {"text": ["a"]}},
    "a language of a thousand letters": RUN
    | {"want": "trace", "texts": [{"text": "a", "target_language": "x" * 1000}]},
    "a target of 20,001 words": RUN | {"want": "trace", "targets": [[5] * 20_001]},
    "a target of negative words": RUN | {"want": "trace", "targets": [[-1]]},
    "a target longer than the model writes": RUN | {"want": "trace", "targets": [[5] * 20_000]},
    "a negative seed": ONE | {"want": "decode", "how": HOW | {"method": "sample", "seed": -1}},
    "edits of a head without end": RUN | {"want": "trace", "edits": "heads:cross." + "9" * 5000 + ".5=0.0"},
    "edits that patch a long text in": RUN | {"want": "trace", "edits": "patch:encoder.0.0=" + "a" * 15_000},
    "weights merged into a word of every token twice": LAYER | {"want": "weights", "words": [[[0, 0, 0]], [[0] * 20]]},
    "a selection of heads backwards": LAYER | {"want": "weights", "selection": {"heads": [5, 1], "queries": [0]}},
    "rollout of a layer that is not there": RUN
    | {"want": "across_layers", "kind": "encoder", "layer": 0, "measure": "rollout", "arguments": [999, 999]},
    "similarity in steps of nothing": RUN
    | {"want": "across_layers", "kind": "encoder", "layer": 0, "measure": "head_similarity", "arguments": [0, 0, 0]},
    "a word of 20,000 empty ones": LAYER | {"want": "weights", "words": [[[]] * 20_000, [[]] * 20_000]},
    "a query 20,000 times": MAP | {"want": "pooled", "queries": [0] * 20_000, "keys": [0] * 20_000},
    "a row of a selection twice": LAYER | {"want": "weights", "selection": {"heads": [0, 1], "queries": [0, 0]}},
    "masked is a number": LAYER | {"want": "scores", "masked": 1},
}


def check_sentence(status: int, reply: bytes) -> str:
    """The message of a refusal: a sentence without names of Python."""
    meta, arrays = unpack(reply)
    assert status in (STATUS_MODEL_ERROR, STATUS_INVALID_INPUT, STATUS_WRONG_SECRET)
    assert not arrays
    message = str(meta["message"])
    assert message.endswith(".")
    assert not any(word in message for word in ("Error", "Traceback", "NoneType", "object", "__init__"))
    return message


@pytest.mark.parametrize("request_", WRONG.values(), ids=WRONG)
def test_a_message_made_by_hand_is_a_sentence(handler: RequestHandler, request_: dict[str, Any]) -> None:
    begun = time.process_time()
    status, reply = handler.handle(pack(request_))
    if request_.get("want") == "labels":  # the translator has a label for any number
        return
    check_sentence(status, reply)
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("want", sorted(request_fields.WANTS))
def test_every_field_is_needed_and_of_its_kind(handler: RequestHandler, want: str) -> None:
    fields = MAP | {
        "want": want, "ids": [5], "together": False, "text": "I see.", "target": None, "how": HOW, "position": 0,
        "stack": "encoder",
        "rows": [0, 1], "measure": "rollout", "arguments": [0, 0], "count": 3, "side": 16, "masked": True,
        "token": 5, "against": None, "query": 0, "key": 0, "names": ["lens"],
    }  # fmt: skip
    if want == "across_layers":
        fields["kind"] = "encoder"
    needed = request_fields.ALWAYS | request_fields.WANTS[want]
    right = {name: value for name, value in fields.items() if name in needed}
    assert handler.handle(pack(right))[0] == STATUS_OK
    for name in needed - {"wire", "want"}:
        assert name in check_sentence(*handler.handle(pack({k: v for k, v in right.items() if k != name})))
        assert name in check_sentence(*handler.handle(pack(right | {name: {"odd": 1}})))


def test_the_measures_that_can_be_wanted_are_those_there_are() -> None:
    assert set(request_fields.MEASURES) == set(MEASURES)


def zipped(compression: int = zipfile.ZIP_STORED, **parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as into:
        for name, content in parts.items():
            into.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy(shape: str, content: bytes = b"", descr: str = "'|u1'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def many_entries() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as into:
        for number in range(5_000):
            into.writestr(str(number), b"")
    return file.getvalue()


def many_fields() -> bytes:
    return json.dumps(ALWAYS | {f"field{number}": 0 for number in range(100_000)}).encode()


def object_array() -> bytes:
    file = io.BytesIO()
    np.savez(file, json=np.array([{"want": "facts"}], dtype=object))
    return file.getvalue()


BYTES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a web page": lambda: b"<html>" * 100,
    "half a message": lambda: pack(ALWAYS)[:60],
    "3 GB in 3 MB": lambda: zipped(zipfile.ZIP_DEFLATED, json=npy("(100000000,)", b"0" * 100_000_000)),
    "a shape of a terabyte": lambda: zipped(json=npy("(1000000000000,)", b"{}")),
    "a negative shape": lambda: zipped(json=npy("(-1,)", b"{}")),
    "a shape of a million numbers": lambda: zipped(json=npy("(" + "1," * 20_000 + ")", b"{")),
    "a header that is code": lambda: zipped(json=npy("__import__('os').getcwd()", b"{}")),
    "objects": object_array,
    "a pickle": lambda: zipped(json=b"\x80\x04cos\nsystem\n."),
    "5,000 parts": many_entries,
    "JSON of a list": lambda: zipped(json=npy("(2,)", b"[]")),
    "JSON nested deeply": lambda: zipped(json=npy("(200000,)", b"[" * 200_000)),
    "JSON of many digits": lambda: zipped(json=npy("(10000,)", b"9" * 10_000)),
    "JSON with a number that is none": lambda: zipped(json=npy("(32,)", b'{"want": "facts", "x": Infinity }')),
    "JSON of half a letter": lambda: zipped(json=npy("(22,)", b'{"want": "\\ud800\\u0000"}')),
    "100,000 fields": lambda: zipped(json=npy(f"({len(many_fields())},)", many_fields())),
    "numbers where text should be": lambda: zipped(json=npy("(4,)", b"\0" * 32, "'<f8'")),
    "a name that leads out": lambda: pack(ALWAYS | {"want": "../../x"}, {"../../x": np.zeros(2)}),
    "no JSON": lambda: zipped(other=npy("(2,)", b"{}")),
    "more than 25 MB": lambda: pack(ALWAYS, {"x": np.zeros(MAX_REQUEST_BYTES, np.uint8)}),
}


@pytest.mark.parametrize("make", BYTES.values(), ids=BYTES)
def test_bytes_made_by_hand_are_a_sentence_and_allocate_nothing(
    handler: RequestHandler, make: Callable[[], bytes]
) -> None:
    body = make()
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check_sentence(*handler.handle(body))
    assert time.process_time() - begun < 10
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 200_000_000


def test_a_failure_inside_is_a_sentence_and_stays_in_the_log(
    handler: RequestHandler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (5x7 and 9x11)")

    monkeypatch.setattr(Translator, "trace_batch", fail)
    message = check_sentence(*handler.handle(pack(RUN | {"want": "trace", "texts": ["This one fails."]})))
    assert "mat1" not in message
    assert "mat1" in caplog.text


def test_only_who_has_the_secret_is_answered() -> None:
    guarded, facts = RequestHandler("cpu", "a long secret"), pack(ALWAYS | {"want": "facts"})
    assert guarded.handle(facts, "a long secret")[0] == STATUS_OK
    for wrong in ("", "a long secre", "a long secret ", "á long secret"):
        status, reply = guarded.handle(facts, wrong)
        assert status == STATUS_WRONG_SECRET
        assert "HEADLIGHT_SECRET" in check_sentence(status, reply)
    assert guarded.handle(b"not even unpacked", "wrong")[0] == STATUS_WRONG_SECRET


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "school.example"])
def test_without_a_secret_only_this_computer_is_served(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(access.SECRET_VARIABLE, raising=False)
    monkeypatch.setattr("sys.argv", ["server", "--host", host])
    with pytest.raises(SystemExit):
        server.main()
    assert "HEADLIGHT_SECRET" in capsys.readouterr().err


def test_json_holds_what_it_held() -> None:
    meta = {"a": 1, "b": ["é", None]}
    arrays = {"x": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "none": np.zeros((0, 3), np.float32)}
    got, found = unpack(pack(meta, arrays))
    assert got == json.loads(json.dumps(meta))
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert not found[name].flags.writeable


def test_token_mode_is_followed_where_there_is_a_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in (access.MODE_VARIABLE, access.TOKEN_VARIABLE, access.TOKEN_PATH_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def mode() -> str | None:
        import os

        access.follow_token_mode()
        return os.environ.pop(access.MODE_VARIABLE, None)

    assert mode() is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0123")
    assert mode() == "token"
    monkeypatch.setenv(access.MODE_VARIABLE, "disabled")
    access.follow_token_mode()
    assert mode() == "disabled"
    (tmp_path / ".ray" / "auth_token").unlink()
    monkeypatch.setenv(access.TOKEN_VARIABLE, "0123")
    assert mode() == "token"
