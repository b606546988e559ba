"""What a server answers: each request names a model and what is wanted of it, and is whole in itself.

No replica has to remember anything: one that has not seen a run computes it, and keeps it as long as there is room.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from model.arrays.lazy import shapes
from model.arrays.types import Array
from model.catalog.opening import check_fits, load_here
from model.catalog.revisions import commit, revision
from model.errors import InputError, ModelError
from model.generation.decoding import Decoding
from model.memory.cached_layers import with_cached_layers
from model.memory.model_registry import ModelRegistry, without_model
from model.memory.result_cache import ResultCache
from model.remote.messages import FAILED, FINE, OTHER_VERSION, SEND_FILES, VERSION, WRONG, pack, unpack
from model.trace.edits import Edits
from model.trace.layer_inputs import Layer
from model.trace.lens import Lens
from model.trace.trace import Trace

BUDGET = 1_000_000_000  # bytes of runs and answers that a replica keeps
Answer = tuple[dict[str, Any], dict[str, Array]]


class RequestHandler:
    """Opens models, runs them, and answers; safe to use from many threads.

    Equal requests are computed once, also while the first of them is still being computed.

    Args:
        device: where models run, as `model.load` takes it.

    Raises:
        ValueError: no such device or number format.
    """

    def __init__(self, device: str = "auto") -> None:
        from model.attention.devices import (  # with PyTorch, which who sends requests can do without
            find_device,
            find_dtype,
            split,
        )

        name, dtype = split(device, "float32")
        find_device(name), find_dtype(dtype)  # a wrong one is said now, not to the first who asks
        self.device = device
        self._kept = ResultCache(BUDGET)
        self._shelf = ModelRegistry(load_here, check_fits, spill=self._kept.clear)

    def answer(self, request: bytes) -> tuple[int, bytes]:
        """An HTTP status of `model.remote.messages` and what `model.remote.messages.pack` made."""
        try:
            asked, files = unpack(request)
            if asked.get("wire") != VERSION:
                theirs = asked.get("wire", 1)
                message = f"The app speaks version {theirs} of Headlight's messages, the server {VERSION}."
                return OTHER_VERSION, pack({"reason": "backend_version", "message": message})
            key = ("answer", json.dumps(asked, sort_keys=True))  # files are named in it by their checksum
            return FINE, self._kept.get(key, lambda: pack(*self._answer(asked, files)), len)
        except FileWantedError:
            return SEND_FILES, pack({})
        except InputError as error:
            return WRONG, pack({"reason": error.reason, "message": str(error), "values": error.values})
        except ModelError as error:
            return FAILED, pack({"reason": error.reason, "message": str(error)})

    def _answer(self, asked: dict[str, Any], files: Mapping[str, Array]) -> Answer:
        with self._shelf.using(asked["model"], self.device) as lens:
            if asked["want"] == "facts":
                version = {"revision": revision(asked["model"]), "commit": commit(asked["model"])}
                return _facts(lens) | version, {}
            edits = Edits.parse(asked.get("edits", ""))
            text = _given(lens, asked["text"], files) if "text" in asked else None
            target = _target(asked.get("target"))
            if asked["want"] == "decode":
                written = lens.decode(text, Decoding(**asked["how"]), edits)
                return dataclasses.asdict(written), {}
            if asked["want"] == "labels":
                return {"labels": lens.labels(asked["ids"])}, {}
            if asked["want"] == "guess":
                logits = lens.guess(text, asked["place"], edits)
                return {}, {} if logits is None else {"logits": logits}
            if asked["want"] == "words":
                words = lens.layer_words(text, target, edits)
                return {}, {} if words is None else {"ids": words[0], "chances": words[1]}
            if asked["want"] == "effects":
                effects, are_words = lens.head_effects(text, target, edits)
                return {"words": are_words}, effects
            if asked["want"] == "positions":
                scheme = vars(lens.positions())
                return {"kind": scheme["kind"]}, {
                    name: one for name, one in scheme.items() if isinstance(one, np.ndarray)
                }
            return _part(self._run(lens, asked, files)[asked.get("row", 0)], asked)

    def _run(self, lens: Lens, asked: dict[str, Any], files: Mapping[str, Array]) -> tuple[Trace, ...]:
        """The traces of a batch."""
        name, edits = asked["model"], Edits.parse(asked["edits"])

        def make() -> tuple[Trace, ...]:
            texts = [_given(lens, text, files) for text in asked["texts"]]
            traces = lens.trace_batch(texts, [_target(target) for target in asked["targets"]], edits)
            reopen = partial(self._shelf.get, name, self.device)
            return tuple(with_cached_layers(without_model(trace, reopen), self._kept) for trace in traces)

        key = ("run", name, json.dumps([asked["texts"], asked["targets"]]), edits.text())
        return self._kept.get(key, make, lambda traces: sum(trace.nbytes for trace in traces))


class FileWantedError(Exception):
    """A request names a picture by its checksum that did not come with it."""


def _given(lens: Lens, text: str, files: Mapping[str, Array]) -> str | bytes:
    """What a model is to read: a text, or the picture of this checksum.

    Raises:
        FileWantedError: there is none. InputError: it has another checksum.
    """
    if lens.takes == "text":
        return text
    if text not in files:
        raise FileWantedError(text)
    content = files[text].tobytes()
    if hashlib.sha256(content).hexdigest() != text:
        raise InputError("picture_broken", f"The picture came without its checksum {text!r}.")
    return content


def _part(trace: Trace, asked: dict[str, Any]) -> Answer:
    """The slice of a run that was asked for."""
    want = asked["want"]
    if want == "trace":
        return _outline(trace), {} if trace.picture is None else {"pixels": trace.picture.pixels}
    if want == "check":
        return dataclasses.asdict(trace.verify()), {}
    if want == "states":
        return {}, {"": trace.hidden_states[asked["stack"]]}
    if want == "neurons":
        return {}, {"": trace.neurons[asked["stack"]]}
    if want == "logits":
        assert trace.logits is not None
        return {}, {"": trace.logits[slice(*asked["rows"])]}
    layers = trace.attentions[asked["kind"]].layers
    if "words" in asked:
        queries, keys = (tuple(map(tuple, words)) for words in asked["words"])
        layers = tuple(one.between(queries, keys) for one in layers)
    layer = layers[asked["layer"]]
    if "part" in asked:
        layer = layer.part(range(*asked["part"]["heads"]), asked["part"]["queries"])
    if want == "together":
        return {}, {"": layer.together(asked["what"], layers, *asked["where"])}
    if want == "layer":
        found = trace.multi_head(asked["kind"], asked["layer"])
        if not isinstance(found, Layer):
            return {"reason": found.reason}, {} if found.w_o is None else {"w_o": found.w_o}
        arrays = {name: one for name, one in vars(found.inputs).items() if isinstance(one, np.ndarray)}
        return {"names": dict(found.names), "num_heads": found.inputs.num_heads}, arrays | {"output": found.output}
    if want == "weights":
        return {}, {"": layer.weights()}
    if want == "drawn":
        return {}, {"": layer.drawn(asked["head"], asked["queries"], asked["keys"], tuple(asked["shape"]))}
    if want == "strongest":
        rows, columns, weights = layer.strongest(asked["head"], asked["queries"], asked["keys"], asked["count"])
        return {}, {"rows": rows, "columns": columns, "weights": weights}
    if want == "overview":
        return {}, dict(vars(layer.overview(asked["side"])))
    if want == "scores":
        return {}, {"": layer.scores(asked["masked"])}
    return {}, {"": layer.array(want)}


def _outline(trace: Trace) -> dict[str, Any]:
    """All of a trace that is not large."""
    return {
        "text": trace.text,
        "attentions": {
            kind: {
                "num_heads": one.num_heads,
                "head_dim": one.head_dim,
                "layers": [[list(layer.shape), layer.scale] for layer in one.layers],
                "queries": dataclasses.asdict(one.queries),
                "keys": dataclasses.asdict(one.keys),
            }
            for kind, one in trace.attentions.items()
        },
        "tokens": {stack: dataclasses.asdict(tokens) for stack, tokens in trace.tokens.items()},
        "states": shapes(trace.hidden_states),
        "neurons": shapes(trace.neurons),
        "ids": trace.ids,
        "given": trace.given,
        "predicted": None if trace.predicted is None else list(trace.predicted),
        "logits": None if trace.logits is None else list(trace.logits.shape),
        "output": trace.output,
        "notes": trace.notes,
        "device": trace.device,
        "picture": None
        if trace.picture is None
        else {"rows": trace.picture.rows, "columns": trace.picture.columns, "first": trace.picture.first},
    }


def _facts(lens: Lens) -> dict[str, Any]:
    return {
        "wire": VERSION,
        "device": lens.device,
        "max_tokens": lens.max_tokens,
        "takes": lens.takes,
        "is_pair": lens.is_pair,
        "writes": lens.writes,
        "heads": dict(lens.heads),
        "can_move_positions": lens.can_move_positions,
        "dtype": lens.dtype,
    }


def _target(target: Any) -> Any:
    return tuple(target) if isinstance(target, list) else target
