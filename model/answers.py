"""What a server answers: each request names a model and what is wanted of it, and is whole in itself.

No replica has to remember anything: one that has not seen a run computes it, and keeps it as long as there is room.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from model.catalog import ModelError, load_here
from model.decoding import Decoding
from model.edits import Edits
from model.errors import InputError
from model.layer import Layer
from model.lens import Lens
from model.shelf import Shelf, room_for
from model.trace import Array, Trace
from model.wire import pack, unpack

KEPT = 200  # runs that a replica keeps
Answer = tuple[dict[str, Any], dict[str, Array]]


class Answers:
    """Opens models, runs them, and answers; safe to use from many threads.

    Args:
        device: where models run.
    """

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._runs: OrderedDict[str, tuple[Trace, ...]] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._shelf = Shelf(load_here, room_for, spill=self._runs.clear)

    def answer(self, request: bytes) -> tuple[int, bytes]:
        """An HTTP status and what `model.wire.pack` made: 200, 422 for wrong input, 424 for a model that fails."""
        try:
            asked, arrays = unpack(request)
            meta, found = self._answer(asked, arrays)
        except InputError as error:
            return 422, pack({"reason": error.reason, "message": str(error), "values": error.values})
        except ModelError as error:
            return 424, pack({"reason": error.reason, "message": str(error)})
        return 200, pack(meta, found)

    def _answer(self, asked: dict[str, Any], arrays: dict[str, Array]) -> Answer:
        with self._shelf.using(asked["model"], self.device) as lens:
            if asked["want"] == "facts":
                return _facts(lens), {}
            edits = Edits.parse(asked.get("edits", ""))
            text, target = asked.get("text"), _target(asked.get("target"))
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
            return _part(self._run(lens, asked)[asked.get("row", 0)], asked)

    def _run(self, lens: Lens, asked: dict[str, Any]) -> tuple[Trace, ...]:
        """The traces of a batch; equal requests at one time are computed once."""
        key = repr([asked["model"], asked["texts"], asked["targets"], asked["edits"]])
        with self._lock:
            mine = self._locks.setdefault(key, threading.Lock())
        with mine:
            if key not in self._runs:
                texts, targets = asked["texts"], [_target(t) for t in asked["targets"]]
                self._runs[key] = lens.trace_batch(texts, targets, Edits.parse(asked["edits"]))
        with self._lock:
            self._locks.pop(key, None)
            self._runs.move_to_end(key)
            while len(self._runs) > KEPT:
                self._runs.popitem(last=False)
            return self._runs[key]


def _part(trace: Trace, asked: dict[str, Any]) -> Answer:
    """The slice of a run that was asked for."""
    want = asked["want"]
    if want == "trace":
        return _outline(trace), {}
    if want == "check":
        return dataclasses.asdict(trace.verify()), {}
    if want == "states":
        return {}, {"": trace.hidden_states[asked["stack"]]}
    if want == "neurons":
        return {}, {"": trace.neurons[asked["stack"]]}
    if want == "logits":
        assert trace.logits is not None
        return {}, {"": trace.logits[slice(*asked["rows"])]}
    layer = trace.attentions[asked["kind"]].layers[asked["layer"]]
    if want == "layer":
        found = trace.multi_head(asked["kind"], asked["layer"])
        if not isinstance(found, Layer):
            return {"reason": found.reason}, {} if found.w_o is None else {"w_o": found.w_o}
        arrays = {name: one for name, one in vars(found.inputs).items() if isinstance(one, np.ndarray)}
        return {"names": dict(found.names), "num_heads": found.inputs.num_heads}, arrays | {"output": found.output}
    if want == "weights":
        return {}, {"": layer.weights()}
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
        "states": {stack: list(states.shape) for stack, states in trace.hidden_states.items()},
        "neurons": {stack: list(neurons.shape) for stack, neurons in trace.neurons.items()},
        "ids": trace.ids,
        "given": trace.given,
        "predicted": trace.predicted,
        "logits": None if trace.logits is None else list(trace.logits.shape),
        "output": trace.output,
        "notes": trace.notes,
        "device": trace.device,
    }


def _facts(lens: Lens) -> dict[str, Any]:
    return {
        "device": lens.device,
        "max_tokens": lens.max_tokens,
        "takes": lens.takes,
        "is_pair": lens.is_pair,
        "writes": lens.writes,
        "heads": dict(lens.heads),
        "can_move_positions": lens.can_move_positions,
    }


def _target(target: Any) -> Any:
    return tuple(target) if isinstance(target, list) else target
