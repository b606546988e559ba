"""The server's request handler. Requests are self-contained: each names a model, its input and the data requested.

No replica depends on earlier requests: one that has not computed a run computes it, and caches it as long as it fits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from model.arrays.lazy import array_shapes
from model.arrays.types import Array
from model.catalog.opening import check_model_fits, load_in_process
from model.catalog.revisions import commit, revision
from model.errors import InputError, ModelError
from model.generation.decoding import Decoding
from model.memory.cached_layers import with_cached_layers
from model.memory.model_registry import ModelRegistry, detach_from_model
from model.memory.result_cache import ResultCache
from model.remote.messages import (
    PROTOCOL_VERSION,
    STATUS_FILES_REQUIRED,
    STATUS_INVALID_INPUT,
    STATUS_MODEL_ERROR,
    STATUS_OK,
    STATUS_VERSION_MISMATCH,
    pack,
    unpack,
)
from model.trace.edits import Edits
from model.trace.layer_inputs import MultiHeadLayer
from model.trace.lens import Lens
from model.trace.trace import Trace

CACHE_BYTES = 1_000_000_000  # of runs and responses, per replica
Response = tuple[dict[str, Any], dict[str, Array]]  # metadata and named arrays


class RequestHandler:
    """Opens models, runs them, and responds to requests. Safe to use from many threads.

    Equal requests are computed once, also when they arrive at the same time.

    Args:
        device: that models run on, as `model.load` takes it.

    Raises:
        ValueError: no such device or number format.
    """

    def __init__(self, device: str = "auto") -> None:
        # Imported here: it needs PyTorch, which an app without models of its own does not have.
        from model.attention.devices import find_device, find_dtype, split_device_choice

        name, dtype = split_device_choice(device, "float32")
        find_device(name), find_dtype(dtype)  # raise at the start, not at the first request
        self.device = device
        self._cache = ResultCache(CACHE_BYTES)
        self._registry = ModelRegistry(load_in_process, check_model_fits, evict_results=self._cache.clear)

    def handle(self, body: bytes) -> tuple[int, bytes]:
        """HTTP status and packed message of the response, as `model.remote.messages` defines them."""
        try:
            request, files = unpack(body)
            if request.get("wire") != PROTOCOL_VERSION:
                version = request.get("wire", 1)
                message = f"The app speaks version {version} of Headlight's messages, the server {PROTOCOL_VERSION}."
                return STATUS_VERSION_MISMATCH, pack({"reason": "backend_version", "message": message})
            key = ("response", json.dumps(request, sort_keys=True))  # pictures are named in it by their checksum
            return STATUS_OK, self._cache.get(key, lambda: pack(*self._respond(request, files)), len)
        except MissingFileError:
            return STATUS_FILES_REQUIRED, pack({})
        except InputError as error:
            return STATUS_INVALID_INPUT, pack({"reason": error.reason, "message": str(error), "values": error.values})
        except ModelError as error:
            return STATUS_MODEL_ERROR, pack({"reason": error.reason, "message": str(error)})

    def _respond(self, request: dict[str, Any], files: Mapping[str, Array]) -> Response:
        """The response to a request of this protocol version."""
        with self._registry.pinned(request["model"], self.device) as lens:
            if request["want"] == "facts":
                version = {"revision": revision(request["model"]), "commit": commit(request["model"])}
                return _model_properties(lens) | version, {}
            edits = Edits.parse(request.get("edits", ""))
            text = _model_input(lens, request["text"], files) if "text" in request else None
            target = _target(request.get("target"))
            if request["want"] == "decode":
                decoded = lens.decode(text, Decoding(**request["how"]), edits)
                return dataclasses.asdict(decoded), {}
            if request["want"] == "labels":
                return {"labels": lens.labels(request["ids"])}, {}
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
                scheme = vars(lens.positions())
                return {"kind": scheme["kind"]}, {
                    name: one for name, one in scheme.items() if isinstance(one, np.ndarray)
                }
            return _trace_response(self._run(lens, request, files)[request.get("row", 0)], request)

    def _run(self, lens: Lens, request: dict[str, Any], files: Mapping[str, Array]) -> tuple[Trace, ...]:
        """The traces of a batch, from the cache or computed."""
        name, edits = request["model"], Edits.parse(request["edits"])

        def compute() -> tuple[Trace, ...]:
            texts = [_model_input(lens, text, files) for text in request["texts"]]
            traces = lens.trace_batch(texts, [_target(target) for target in request["targets"]], edits)
            reopen = partial(self._registry.get, name, self.device)
            return tuple(with_cached_layers(detach_from_model(trace, reopen), self._cache) for trace in traces)

        key = ("run", name, json.dumps([request["texts"], request["targets"]]), edits.text())
        return self._cache.get(key, compute, lambda traces: sum(trace.nbytes for trace in traces))


class MissingFileError(Exception):
    """A request names a picture by its checksum, but the picture was not sent with it."""


def _model_input(lens: Lens, text: str, files: Mapping[str, Array]) -> str | bytes:
    """The input of a model: the text itself, or the content of the picture with this checksum.

    Raises:
        MissingFileError: the picture was not sent. InputError: its content has another checksum ("picture_broken").
    """
    if lens.takes == "text":
        return text
    if text not in files:
        raise MissingFileError(text)
    content = files[text].tobytes()
    if hashlib.sha256(content).hexdigest() != text:
        raise InputError("picture_broken", f"The picture came without its checksum {text!r}.")
    return content


def _trace_response(trace: Trace, request: dict[str, Any]) -> Response:
    """The requested data of a trace."""
    want = request["want"]
    if want == "trace":
        return _trace_metadata(trace), {} if trace.picture is None else {"pixels": trace.picture.pixels}
    if want == "check":
        return dataclasses.asdict(trace.verify()), {}
    if want == "states":
        return {}, {"": trace.hidden_states[request["stack"]]}
    if want == "neurons":
        return {}, {"": trace.neurons[request["stack"]]}
    if want == "logits":
        assert trace.logits is not None
        return {}, {"": trace.logits[slice(*request["rows"])]}
    if want == "layer":
        found = trace.multi_head(request["kind"], request["layer"])
        if not isinstance(found, MultiHeadLayer):
            return {"reason": found.reason}, {} if found.w_o is None else {"w_o": found.w_o}
        arrays = {name: one for name, one in vars(found.inputs).items() if isinstance(one, np.ndarray)}
        return {"names": dict(found.names), "num_heads": found.inputs.num_heads}, arrays | {"output": found.output}
    return _layer_response(trace, request)


def _layer_response(trace: Trace, request: dict[str, Any]) -> Response:
    """The requested maps or arrays of one attention layer."""
    want = request["want"]
    layers = trace.attentions[request["kind"]].layers
    if "words" in request:
        queries, keys = (tuple(map(tuple, words)) for words in request["words"])
        layers = tuple(one.merged_into_words(queries, keys) for one in layers)
    layer = layers[request["layer"]]
    if "selection" in request:
        layer = layer.select(range(*request["selection"]["heads"]), request["selection"]["queries"])
    if want == "across_layers":
        return {}, {"": layer.across_layers(request["measure"], layers, *request["arguments"])}
    if want == "weights":
        return {}, {"": layer.weights()}
    if want == "pooled":
        return {}, {"": layer.pooled(request["head"], request["queries"], request["keys"], tuple(request["shape"]))}
    if want == "strongest":
        rows, columns, weights = layer.strongest(request["head"], request["queries"], request["keys"], request["count"])
        return {}, {"rows": rows, "columns": columns, "weights": weights}
    if want == "overview":
        return {}, dict(vars(layer.overview(request["side"])))
    if want == "scores":
        return {}, {"": layer.scores(request["masked"])}
    return {}, {"": layer.array(want)}


def _trace_metadata(trace: Trace) -> dict[str, Any]:
    """Everything of a trace except its arrays."""
    return {
        "text": trace.text,
        "attentions": {
            kind: {
                "num_heads": one.num_heads,
                "head_dim": one.head_dim,
                "layer_index": one.layer_index,
                "layers": [[list(layer.shape), layer.scale] for layer in one.layers],
                "queries": dataclasses.asdict(one.queries),
                "keys": dataclasses.asdict(one.keys),
            }
            for kind, one in trace.attentions.items()
        },
        "tokens": {stack: dataclasses.asdict(tokens) for stack, tokens in trace.tokens.items()},
        "states": array_shapes(trace.hidden_states),
        "neurons": array_shapes(trace.neurons),
        "ids": trace.ids,
        "prompt_length": trace.prompt_length,
        "predicted": None if trace.predicted is None else list(trace.predicted),
        "logits": None if trace.logits is None else list(trace.logits.shape),
        "output": trace.output,
        "notes": trace.notes,
        "classes": trace.classes,
        "device": trace.device,
        "picture": None
        if trace.picture is None
        else {"rows": trace.picture.rows, "columns": trace.picture.columns, "first": trace.picture.first},
    }


def _model_properties(lens: Lens) -> dict[str, Any]:
    """The properties of a model that the app needs before it runs."""
    return {
        "wire": PROTOCOL_VERSION,
        "device": lens.device,
        "max_tokens": lens.max_tokens,
        "takes": lens.takes,
        "is_encoder_decoder": lens.is_encoder_decoder,
        "writes": lens.writes,
        "heads": dict(lens.heads),
        "can_move_positions": lens.can_move_positions,
        "dtype": lens.dtype,
    }


def _target(target: Any) -> Any:
    """A forced output; token ids are a list in JSON and a tuple in the model's interface."""
    return tuple(target) if isinstance(target, list) else target
