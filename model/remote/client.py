"""A model that runs on a server: what every opened model can do, with only what is drawn sent over the wire."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.arrays.lazy import LazyMapping, LazyRows
from model.arrays.types import Array
from model.errors import InputError, ModelError
from model.generation.decoding import Decoded, Decoding, Node
from model.positions.scheme import PositionScheme
from model.remote.messages import FAILED, FINE, OTHER_VERSION, SEND_FILES, VERSION, WRONG, pack, unpack
from model.remote.remote_layer import Ask, RemoteLayer
from model.remote.transport import Unreachable, door
from model.trace.attention import Attention
from model.trace.check import Check
from model.trace.edits import Edits
from model.trace.layer_inputs import Layer, LayerInputs, NoLayer
from model.trace.recorded_layer import RecordedLayer
from model.trace.tokens import Picture, Tokens
from model.trace.trace import Target, Trace

if TYPE_CHECKING:
    from PIL import Image

TRIES = 6  # a replica that dies takes its requests with it; the next one computes them anew
Answer = tuple[dict[str, Any], dict[str, Array]]
Files = Mapping[str, bytes]  # pictures by their checksum


class RemoteModel:
    """A model behind an address; public names as `model.trace.lens.Lens`.

    Args:
        address: "http://host:8000" of `python -m model.remote.server`, or "ray://host:10001" of the cluster it runs on.
        name: of the model, as the server knows it.

    Raises:
        ModelError: the server cannot be reached, is of another version, or cannot open the model.
    """

    def __init__(self, address: str, name: str) -> None:
        self._address, self._name = address, name
        self._door = door(address)
        facts, _ = self._ask("facts")
        if facts.get("wire") != VERSION:
            message = f"{address} speaks version {facts.get('wire', 1)} of Headlight's messages, this app {VERSION}."
            raise ModelError("backend_version", message)
        self.device: str = f"{facts['device']} @ {address}"
        self.max_tokens: int = facts["max_tokens"]
        self.takes: str = facts["takes"]
        self.is_pair: bool = facts["is_pair"]
        self.writes: bool = facts["writes"]
        self.heads: Mapping[str, tuple[int, int]] = {kind: (n, h) for kind, (n, h) in facts["heads"].items()}
        self.can_move_positions: bool = facts["can_move_positions"]
        self.dtype: str = facts["dtype"]
        self.revision: str = facts["revision"]  # as `model.catalog.revisions` has them where the model runs
        self.commit: str = facts["commit"]

    def _ask(self, want: str, /, files: Files | None = None, at: Place | None = None, **more: Any) -> Answer:
        """What the server says.

        Args:
            files: sent only to a replica that asks for them; at: the replica that has the run, kept up to date.
        """
        asked = {"wire": VERSION, "model": self._name, "want": want} | more
        at = at or Place()
        status, content = self._sent(pack(asked), at)
        if status == SEND_FILES:
            arrays = {name: np.frombuffer(content, np.uint8) for name, content in (files or {}).items()}
            status, content = self._sent(pack(asked, arrays), at)
        try:
            meta, found = unpack(content)
        except ValueError as error:
            raise ModelError(
                "backend_version", f"{self._address} does not answer as a server of Headlight's: {error}"
            ) from error
        if status == WRONG:
            raise InputError(meta["reason"], meta["message"], **meta["values"])
        if status in (FAILED, OTHER_VERSION):
            raise ModelError(meta["reason"], meta["message"])
        return meta, found

    def _sent(self, body: bytes, at: Place) -> tuple[int, bytes]:
        """Ask, and ask again where there is no answer.

        Raises:
            ModelError: there was none in the end.
        """
        for last in range(TRIES):
            try:
                status, content, at.replica = self._door.send(body, at.replica)
                if status in (FINE, WRONG, FAILED, OTHER_VERSION, SEND_FILES):
                    return status, content
                trouble = f"The server {self._address} answers {status}."
            except Unreachable as error:
                trouble = str(error)
                at.replica = ""  # it may be dead: any other can compute what it had
            if last < TRIES - 1:
                time.sleep(0.2 * 2**last)
        raise ModelError("backend_gone", trouble)

    def trace(self, text: Any, target: Target = None, edits: Edits | None = None) -> Trace:
        return self.trace_batch([text], [target], edits)[0]

    def trace_batch(
        self, texts: Sequence[Any], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        names, files = self._named(texts)
        run = {"texts": names, "targets": list(targets), "edits": (edits or Edits()).text()}
        place = Place()
        return tuple(
            self._trace(partial(self._ask, files=files, at=place, row=row, **run), text, edits or Edits())
            for row, text in enumerate(texts)
        )

    def _named(self, texts: Sequence[Any]) -> tuple[list[str], dict[str, bytes]]:
        """Texts as they are; pictures by their checksum, and what is in them."""
        if self.takes == "text":
            return list(texts), {}
        contents = [_content(picture) for picture in texts]
        names = [hashlib.sha256(content).hexdigest() for content in contents]
        return names, dict(zip(names, contents, strict=True))

    def _trace(self, ask: Ask, text: Any, edits: Edits) -> Trace:
        seen, shown = ask("trace")

        def arrays(want: str) -> Mapping[str, Array]:
            return LazyMapping(seen[want], lambda stack: ask(want, stack=stack)[1][""])

        logits = LazyRows(lambda start, stop: ask("logits", rows=[start, stop])[1][""], seen["logits"] or ())
        return Trace(
            text=seen["text"] if seen["picture"] is None else str(text) if isinstance(text, (str, Path)) else "",
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
            logits=None if seen["logits"] is None else logits,  # type: ignore[arg-type]
            output=seen["output"],
            notes=tuple((note, detail) for note, detail in seen["notes"]),
            device=self.device,
            edits=edits,
            check=partial(self._verify, ask),
            find=partial(self._find, ask),
            picture=None if seen["picture"] is None else Picture(shown["pixels"], **seen["picture"]),
        )

    def _verify(self, ask: Ask) -> Check:
        return Check(**ask("check")[0])

    def _find(self, ask: Ask, recorded: RecordedLayer) -> Layer | NoLayer:
        assert isinstance(recorded, RemoteLayer)
        meta, arrays = recorded.ask("layer")
        if "reason" in meta:
            return NoLayer(meta["reason"], arrays.get("w_o"))
        output = arrays.pop("output")
        return Layer(LayerInputs(**arrays, num_heads=meta["num_heads"]), output, meta["names"])

    def decode(self, text: Any, how: Decoding, edits: Edits | None = None) -> Decoded:
        meta, _ = self._ask("decode", **self._text(text), how=dataclasses.asdict(how), edits=(edits or Edits()).text())
        return Decoded(tuple(meta["ids"]), meta["ended"], tuple(Node(**node) for node in meta["tree"]))

    def labels(self, ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(self._ask("labels", ids=list(ids))[0]["labels"])

    def guess(self, text: Any, place: int, edits: Edits | None = None) -> Array | None:
        return self._ask("guess", **self._text(text), place=place, edits=(edits or Edits()).text())[1].get("logits")

    def layer_words(self, text: Any, target: Target = None, edits: Edits | None = None) -> tuple[Array, Array] | None:
        _, found = self._ask("words", **self._text(text), target=target, edits=(edits or Edits()).text())
        return (found["ids"], found["chances"]) if found else None

    def head_effects(
        self,
        text: Any,
        target: Target = None,
        edits: Edits | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> tuple[dict[str, Array], bool]:
        meta, found = self._ask("effects", **self._text(text), target=target, edits=(edits or Edits()).text())
        progress(1.0)
        return found, meta["words"]

    def _text(self, text: Any) -> dict[str, Any]:
        names, files = self._named([text])
        return {"text": names[0], "files": files}

    def positions(self) -> PositionScheme:
        meta, arrays = self._ask("positions")
        return PositionScheme(meta["kind"], **arrays)


@dataclasses.dataclass
class Place:
    """Which replica has a run; "" where none is known to."""

    replica: str = ""


def _content(picture: str | Path | bytes | Image.Image) -> bytes:
    """A picture as the bytes of a file.

    Raises:
        InputError: there is none.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, (str, Path)):
        try:
            return Path(picture).read_bytes()
        except (OSError, ValueError) as error:
            raise InputError("picture_missing", f"There is no picture {str(picture)!r}.") from error
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
