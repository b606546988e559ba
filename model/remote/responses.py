"""The server's responses: what is requested of a trace, of one of its layers, or of a model, ready to be packed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from model.arrays.lazy import array_shapes
from model.arrays.types import Array
from model.remote import check_message
from model.remote.decomposition_message import to_message
from model.remote.messages import PROTOCOL_VERSION
from model.remote.request_fields import APART, refuse
from model.trace.layer_inputs import MultiHeadLayer
from model.trace.lens import Lens
from model.trace.trace import Trace

Response = tuple[dict[str, Any], dict[str, Array]]  # metadata and named arrays


def trace_response(trace: Trace, request: dict[str, Any]) -> Response:
    """The requested data of a trace."""
    want = request["want"]
    if want == "trace":
        return _trace_metadata(trace), _trace_arrays(trace)
    if want == "check":
        return check_message.to_message(trace.verify())
    if want == "states":
        return {}, {"": trace.hidden_states[request["stack"]]}
    if want == "neurons":
        neurons = trace.neurons.get(request["stack"])
        return {}, {} if neurons is None else {"": neurons}
    if want in APART:
        return to_message(trace.taken_apart(want, *(request[name] for name in APART[want])))
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
    if (request.get("head") or 0) >= layer.shape[0]:
        raise refuse(f"The request asks for head {request['head']}; this layer has {layer.shape[0]}.")
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


def _trace_arrays(trace: Trace) -> dict[str, Array]:
    """What a trace's picture or sound is drawn from."""
    if trace.sound is not None:
        return {"loudness": trace.sound.loudness}
    return {} if trace.picture is None else {"pixels": trace.picture.pixels}


def _trace_metadata(trace: Trace) -> dict[str, Any]:
    """Everything of a trace except its arrays."""
    return {
        "text": trace.text,
        "attentions": {
            kind: {
                "num_heads": one.num_heads,
                "head_dim": one.head_dim,
                "layer_index": one.layer_index,
                "layers": [[list(layer.shape), layer.scale, layer.softcap] for layer in one.layers],
                "queries": dataclasses.asdict(one.queries),
                "keys": dataclasses.asdict(one.keys),
            }
            for kind, one in trace.attentions.items()
        },
        "tokens": {stack: dataclasses.asdict(tokens) for stack, tokens in trace.tokens.items()},
        "states": array_shapes(trace.hidden_states),
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
        else {
            "rows": trace.picture.rows,
            "columns": trace.picture.columns,
            "first": trace.picture.first,
            "frames": trace.picture.frames,
        },
        "sound": None if trace.sound is None else {"step": trace.sound.step},
    }


def model_properties(lens: Lens) -> dict[str, Any]:
    """The properties of a model that the app needs before it runs."""
    return {
        "wire": PROTOCOL_VERSION,
        "device": lens.device,
        "max_tokens": lens.max_tokens,
        "takes": lens.takes,
        "is_encoder_decoder": lens.is_encoder_decoder,
        "writes": lens.writes,
        "heads": dict(lens.heads),
        "layer_index": {kind: list(index) for kind, index in lens.layer_index.items()},
        "can_move_positions": lens.can_move_positions,
        "choices": dataclasses.asdict(lens.choices),
        "dtype": lens.dtype,
    }
