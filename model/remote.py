"""A model that runs on a server: what every opened model can do, with only what is drawn sent over the wire."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from model.catalog import ModelError
from model.decoding import Decoded, Decoding, Node
from model.edits import Edits
from model.errors import InputError
from model.layer import Layer, LayerInputs, NoLayer
from model.positions import Scheme
from model.trace import Array, Attention, Check, Recorded, Target, Tokens, Trace
from model.wire import pack, unpack

TRIES = 6  # a replica that dies takes its requests with it; the next one computes them anew
WAIT = 60.0  # seconds for an answer
Ask = Callable[..., tuple[dict[str, Any], dict[str, Array]]]


class Remote:
    """A model behind an address; public names as `model.lens.Lens`.

    Args:
        address: "http://host:8000" of `python -m model.serve`.
        name: of the model, as the server knows it.

    Raises:
        ModelError: the server cannot be reached, or cannot open the model.
    """

    def __init__(self, address: str, name: str) -> None:
        import requests

        self._address, self._name = address, name
        self._session = requests.Session()
        facts, _ = self._ask("facts")
        self.device: str = f"{facts['device']} @ {address}"
        self.max_tokens: int = facts["max_tokens"]
        self.takes: str = facts["takes"]
        self.is_pair: bool = facts["is_pair"]
        self.writes: bool = facts["writes"]
        self.heads: Mapping[str, tuple[int, int]] = {kind: (n, h) for kind, (n, h) in facts["heads"].items()}
        self.can_move_positions: bool = facts["can_move_positions"]

    def _ask(self, want: str, /, **more: Any) -> tuple[dict[str, Any], dict[str, Array]]:
        import requests

        body = pack({"model": self._name, "want": want} | more)
        for last in range(TRIES):
            try:
                # Equal runs go to the replica that has them, as long as it lives.
                key = json.dumps([self._name, more.get("texts"), more.get("targets"), more.get("edits")])
                reply = self._session.post(
                    self._address,
                    data=body,
                    timeout=WAIT,
                    headers={"serve_multiplexed_model_id": hashlib.sha1(key.encode()).hexdigest()},
                )
            except requests.RequestException as error:
                if last == TRIES - 1:
                    raise ModelError("no_network", f"The server {self._address} cannot be reached: {error}") from error
            else:
                if reply.status_code in (200, 422, 424):
                    break
                if last == TRIES - 1:
                    raise ModelError("no_network", f"The server {self._address} answers {reply.status_code}.")
            time.sleep(0.2 * 2**last)
        meta, arrays = unpack(reply.content)
        if reply.status_code == 422:
            raise InputError(meta["reason"], meta["message"], **meta["values"])
        if reply.status_code == 424:
            raise ModelError(meta["reason"], meta["message"])
        return meta, arrays

    def trace(self, text: str, target: Target = None, edits: Edits | None = None) -> Trace:
        return self.trace_batch([text], [target], edits)[0]

    def trace_batch(
        self, texts: Sequence[str], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        run = {"texts": list(texts), "targets": list(targets), "edits": (edits or Edits()).text()}
        return tuple(self._trace(run, row, edits or Edits()) for row in range(len(texts)))

    def _trace(self, run: dict[str, Any], row: int, edits: Edits) -> Trace:
        def ask(want: str, /, **more: Any) -> tuple[dict[str, Any], dict[str, Array]]:
            return self._ask(want, **run, row=row, **more)

        seen, _ = ask("trace")

        def arrays(want: str) -> Mapping[str, Array]:
            return Lazy(seen[want], lambda stack: ask(want, stack=stack)[1][""])

        return Trace(
            text=seen["text"],
            attentions={
                kind: Attention(
                    kind,
                    Tokens(**_tuples(one["queries"])),
                    Tokens(**_tuples(one["keys"])),
                    one["num_heads"],
                    one["head_dim"],
                    tuple(
                        RemoteLayer(partial(ask, kind=kind, layer=layer), tuple(shape), scale)
                        for layer, (shape, scale) in enumerate(one["layers"])
                    ),
                )
                for kind, one in seen["attentions"].items()
            },
            hidden_states=arrays("states"),
            neurons=arrays("neurons"),
            tokens={stack: Tokens(**_tuples(tokens)) for stack, tokens in seen["tokens"].items()},
            ids={stack: tuple(ids) for stack, ids in seen["ids"].items()},
            given=seen["given"],
            predicted=None if seen["predicted"] is None else tuple(seen["predicted"]),
            logits=None if seen["logits"] is None else Rows(ask, tuple(seen["logits"])),  # type: ignore[arg-type]
            output=seen["output"],
            notes=tuple((note, detail) for note, detail in seen["notes"]),
            device=self.device,
            edits=edits,
            check=partial(self._verify, run, row),
            find=partial(self._find, run, row),
        )

    def _verify(self, run: dict[str, Any], row: int) -> Check:
        return Check(**self._ask("check", **run, row=row)[0])

    def _find(self, run: dict[str, Any], row: int, recorded: Recorded) -> Layer | NoLayer:
        assert isinstance(recorded, RemoteLayer)
        meta, arrays = recorded.ask("layer")
        if "reason" in meta:
            return NoLayer(meta["reason"], arrays.get("w_o"))
        output = arrays.pop("output")
        return Layer(LayerInputs(**arrays, num_heads=meta["num_heads"]), output, meta["names"])

    def decode(self, text: str, how: Decoding, edits: Edits | None = None) -> Decoded:
        meta, _ = self._ask("decode", text=text, how=dataclasses.asdict(how), edits=(edits or Edits()).text())
        return Decoded(tuple(meta["ids"]), meta["ended"], tuple(Node(**node) for node in meta["tree"]))

    def labels(self, ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(self._ask("labels", ids=list(ids))[0]["labels"])

    def guess(self, text: str, place: int, edits: Edits | None = None) -> Array | None:
        return self._ask("guess", text=text, place=place, edits=(edits or Edits()).text())[1].get("logits")

    def layer_words(self, text: str, target: Target = None, edits: Edits | None = None) -> tuple[Array, Array] | None:
        _, found = self._ask("words", text=text, target=target, edits=(edits or Edits()).text())
        return (found["ids"], found["chances"]) if found else None

    def head_effects(
        self,
        text: str,
        target: Target = None,
        edits: Edits | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> tuple[dict[str, Array], bool]:
        meta, found = self._ask("effects", text=text, target=target, edits=(edits or Edits()).text())
        progress(1.0)
        return found, meta["words"]

    def positions(self) -> Scheme:
        meta, arrays = self._ask("positions")
        return Scheme(meta["kind"], **arrays)


@dataclass(frozen=True, eq=False)
class RemoteLayer:
    """One layer whose arrays are fetched when they are looked at; as `model.attention.Call`."""

    ask: Ask
    shape: tuple[int, int, int, int]
    scale: float

    @cached_property
    def _kept(self) -> dict[str, Array]:
        return {}

    def _fetch(self, want: str, **more: Any) -> Array:
        key = f"{want}{more}"
        if key not in self._kept:
            self._kept[key] = self.ask(want, **more)[1][""]
        return self._kept[key]

    def weights(self) -> Array:
        return self._fetch("weights")

    def scores(self, masked: bool = True) -> Array:
        return self._fetch("scores", masked=masked)

    def array(self, name: str) -> Array:
        return self._fetch(name)


class Lazy(Mapping[str, Array]):
    """Arrays by name, fetched when they are looked at."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], fetch: Callable[[str], Array]) -> None:
        self._shapes, self._fetch = shapes, fetch
        self._kept: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._shapes:
            raise KeyError(name)
        if name not in self._kept:
            self._kept[name] = self._fetch(name)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


class Rows:
    """A table of which rows are fetched when they are looked at; whatever else is done with it fetches it whole."""

    def __init__(self, ask: Ask, shape: tuple[int, ...]) -> None:
        self._ask, self.shape = ask, shape
        self._kept: dict[tuple[int, int], Array] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, np.integer)):
            at = int(item) % len(self)
            return self._slice(at, at + 1)[0]
        if isinstance(item, slice) and item.step in (None, 1):
            start, stop, _ = item.indices(len(self))
            return self._slice(start, stop)
        return self._slice(0, len(self))[item]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._slice(0, len(self)), name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self._slice(0, len(self)), dtype=dtype)

    def _slice(self, start: int, stop: int) -> Array:
        if (start, stop) not in self._kept:
            self._kept[start, stop] = self._ask("logits", rows=[start, stop])[1][""]
        return self._kept[start, stop]


def backend() -> str | None:
    """The address of the server that runs the models, $HEADLIGHT_BACKEND; None where they run in this process."""
    return os.environ.get("HEADLIGHT_BACKEND") or None


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
