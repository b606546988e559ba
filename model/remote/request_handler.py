"""The server's request handler. Requests are self-contained: each names a model, its input and the data requested.

No replica depends on earlier requests: one that has not computed a run computes it, and caches it as long as it fits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from model.arrays.types import Array
from model.catalog.opening import check_model_fits
from model.catalog.revisions import commit, revision
from model.catalog.trial import check_texts, load_after_trial
from model.errors import InputError, ModelError, is_failure, is_out_of_memory
from model.memory.cached_layers import with_cached_layers
from model.memory.model_registry import ModelRegistry, detach_from_model
from model.memory.result_cache import ResultCache
from model.remote.check_message import verdict_on_probe
from model.remote.messages import (
    MAX_REQUEST_BYTES,
    PROTOCOL_VERSION,
    STATUS_FILES_REQUIRED,
    STATUS_INVALID_INPUT,
    STATUS_MODEL_ERROR,
    STATUS_OK,
    STATUS_VERSION_MISMATCH,
    STATUS_WRONG_SECRET,
    pack,
    unpack,
)
from model.remote.position_message import to_message
from model.remote.request_fields import check_request, refuse
from model.remote.responses import Response, model_properties, trace_response
from model.tokenization.length import cap_tokens
from model.trace.decoding import Decoding
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.trace import Trace
from model.trace.typed_text import ModelInput, SpokenSound, TypedText
from model.verification.finite import check_finite

CACHE_BYTES = 1_000_000_000  # of runs and responses, per replica
MAX_TOKEN_LAYERS = 60_000  # of a text where there is no GPU, as in the app: 2,000 tokens through 30 layers
WRONG_SECRET = pack(
    {"reason": "backend_secret", "message": "The server asks for a secret, and HEADLIGHT_SECRET here is not the same."}
)
TOO_LARGE = pack({"reason": "backend_request", "message": "The request is larger than 25 MB, so it was not read."})
_log = logging.getLogger("headlight")


class RequestHandler:
    """Opens models, runs them, and responds to requests. Safe to use from many threads.

    Equal requests are computed once, also when they arrive at the same time.

    Args:
        device: that models run on, as `model.load` takes it.
        secret: that requests must bring; "" answers all.

    Raises:
        ValueError: no such device or number format.
    """

    def __init__(self, device: str = "auto", secret: str = "") -> None:
        # Imported here: it needs PyTorch, which an app without models of its own does not have.
        from model.attention.devices import find_device, find_dtype, split_device_choice

        name, dtype = split_device_choice(device, "float32")
        find_device(name), find_dtype(dtype)  # raise at the start, not at the first request
        self.device, self._secret = device, secret
        self._cache = ResultCache(CACHE_BYTES)
        self._registry = ModelRegistry(_load, check_model_fits, evict_results=self._cache.clear)

    def allows(self, secret: str) -> bool:
        """Whether a request with this secret is answered; compared in a time that does not tell where they differ."""
        return not self._secret or hmac.compare_digest(secret.encode(), self._secret.encode())

    def handle(self, body: bytes, secret: str = "") -> tuple[int, bytes]:
        """HTTP status and packed message of the response, as `model.remote.messages` defines them.

        Args:
            body: a packed message; secret: that came with it.
        """
        if not self.allows(secret):
            return STATUS_WRONG_SECRET, WRONG_SECRET
        try:
            return STATUS_OK, self._answer(body)
        except MissingFileError:
            return STATUS_FILES_REQUIRED, pack({})
        except VersionMismatchError as error:
            return STATUS_VERSION_MISMATCH, pack({"reason": "backend_version", "message": str(error)})
        except InputError as error:
            return STATUS_INVALID_INPUT, pack({"reason": error.reason, "message": str(error), "values": error.values})
        except ModelError as error:
            return STATUS_MODEL_ERROR, pack({"reason": error.reason, "message": str(error)})
        # Whatever a model or a library raises; the details stay in this server's log.
        except BaseException as error:
            if not is_failure(error):
                raise
            _log.error("A request failed.", exc_info=error)
            return STATUS_MODEL_ERROR, pack({"reason": "backend_failed", "message": _sentence(error)})

    def _answer(self, body: bytes) -> bytes:
        """The packed response to a request.

        Raises:
            VersionMismatchError: the request is of another version of the protocol.
            InputError, ModelError: it is not answered; the message says why.
        """
        try:
            request, files = unpack(body, MAX_REQUEST_BYTES)
        except ValueError as error:
            raise refuse("The request is no message of Headlight's, or larger than 25 MB.") from error
        if request.get("wire") != PROTOCOL_VERSION:
            version = str(request.get("wire", 1))[:20]
            raise VersionMismatchError(
                f"The app speaks version {version} of Headlight's messages, the server {PROTOCOL_VERSION}."
            )
        check_request(request)
        key = ("response", json.dumps(request, sort_keys=True))  # pictures are named in it by their checksum
        return self._cache.get(key, lambda: pack(*self._respond(request, files)), len)

    def _respond(self, request: dict[str, Any], files: Mapping[str, Array]) -> Response:
        """The response to a request of this protocol version."""
        with self._registry.pinned(request["model"], self.device) as lens:
            if request["want"] == "facts":
                version = {"revision": revision(request["model"]), "commit": commit(request["model"])}
                return model_properties(lens) | version, {}
            edits = _parse_edits(request.get("edits", ""))
            if lens.takes == "text":
                typed = [
                    request.get("text"),
                    request.get("target"),
                    *request.get("texts", ()),
                    *request.get("targets", ()),
                ]
                typed = [TypedText(**one) if isinstance(one, dict) else one for one in typed]
                check_texts(request["model"], [*typed, *(other for other, _ in edits.patched.values())])
            text = _model_input(lens, request["text"], files) if "text" in request else None
            target = _target(request.get("target"))
            if request["want"] == "decode":
                decoded = lens.decode(text, Decoding(**request["how"]), edits)
                return dataclasses.asdict(decoded), {}
            if request["want"] == "boxes":
                return {"boxes": {stack: list(map(list, layers)) for stack, layers in lens.boxes().items()}}, {}
            if request["want"] == "labels":
                return {"labels": lens.labels(request["ids"], request["together"])}, {}
            if request["want"] == "guess":
                logits = lens.guess(text, request["position"], edits)
                return {}, {} if logits is None else {"logits": logits}
            if request["want"] == "logit_lens":
                words = lens.logit_lens(text, target, edits)
                return {}, {} if words is None else {"ids": words[0], "chances": words[1]}
            if request["want"] == "effects":
                effects, are_words = lens.head_effects(text, target, edits)
                return {"words": are_words}, effects
            if request["want"] == "positions":
                return to_message(lens.positions(request["stack"]))
            trace = self._run(lens, request, files)[request.get("row", 0)]
            if request["want"] == "probe":
                return verdict_on_probe(
                    trace, request["names"], request["position"], partial(self._measured, request, files)
                ), {}
            return trace_response(trace, request)

    def _measured(
        self, request: dict[str, Any], files: Mapping[str, Array], want: str, fields: Mapping[str, Any]
    ) -> Response:
        """What was measured of the run of a request, as the app gets it; from the cache if it is there."""
        same = {name: request[name] for name in ("wire", "model", "edits")}
        text = request["texts"][request["row"]]
        return unpack(self._answer(pack({**same, "want": want, "text": text, **fields}, dict(files))))

    def _run(self, lens: Lens, request: dict[str, Any], files: Mapping[str, Array]) -> tuple[Trace, ...]:
        """The traces of a batch, from the cache or computed."""
        name, edits = request["model"], _parse_edits(request["edits"])

        def compute() -> tuple[Trace, ...]:
            texts = [_model_input(lens, text, files) for text in request["texts"]]
            traces = lens.trace_batch(texts, [_target(target) for target in request["targets"]], edits)
            check_finite(traces)
            reopen = partial(self._registry.get, name, self.device)
            return tuple(with_cached_layers(detach_from_model(trace, reopen), self._cache) for trace in traces)

        key = ("run", name, json.dumps([request["texts"], request["targets"]]), edits.text())
        return self._cache.get(key, compute, lambda traces: sum(trace.nbytes for trace in traces))


def _load(name: str, device: str) -> Lens:
    """As `load_after_trial`; without a GPU, long texts are refused where there are many layers."""
    lens = load_after_trial(name, device)
    if lens.device == "cpu":
        cap_tokens(lens, MAX_TOKEN_LAYERS)
    return lens


def _sentence(error: BaseException) -> str:
    """A failure in plain words."""
    if is_out_of_memory(error):
        return "The server had not enough memory for this: shorten the text, or pick a smaller model."
    if isinstance(error, (LookupError, AttributeError, TypeError, ValueError)):
        return "The request names something that this run does not have."
    return "The server could not compute this."


class VersionMismatchError(Exception):
    """A request is of another version of the protocol."""


class MissingFileError(Exception):
    """A request names a picture by its checksum, but the picture was not sent with it."""


def _model_input(lens: Lens, text: Any, files: Mapping[str, Array]) -> ModelInput:
    """The input of a model: the text or sound, with what is chosen for it, or the content of the file of a checksum.

    Raises:
        MissingFileError: the picture was not sent. InputError: its content has another checksum ("picture_broken").
    """
    if lens.takes == "text":
        return TypedText(**text) if isinstance(text, dict) else str(text)
    if lens.takes == "sound" and isinstance(text, dict):
        return SpokenSound(**(text | {"sound": _file_content(text["sound"], files)}))
    return _file_content(text, files)


def _file_content(checksum: str, files: Mapping[str, Array]) -> bytes:
    """The content of the file with this checksum; errors as of `_model_input`."""
    if checksum not in files:
        raise MissingFileError(checksum)
    content = files[checksum].tobytes()
    if hashlib.sha256(content).hexdigest() != checksum:
        raise InputError("picture_broken", f"The file came without its checksum {checksum!r}.")
    return content


def _parse_edits(text: str) -> Edits:
    """The edits of a request.

    Raises:
        ModelError: they cannot be read.
    """
    try:
        return Edits.parse(text)
    except ValueError as error:
        raise refuse("The changes in the request cannot be read.") from error


def _target(target: Any) -> Any:
    """A forced output; token ids are a list in JSON and a tuple in the model's interface."""
    return tuple(target) if isinstance(target, list) else target
