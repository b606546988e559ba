"""`RemoteModel`: the interface of `Lens` for a model on a server; only the arrays that are drawn are transferred."""

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
from model.positions.scheme import PositionScheme
from model.remote import check_message
from model.remote.decomposition_message import ask
from model.remote.messages import (
    PROTOCOL_VERSION,
    STATUS_FILES_REQUIRED,
    STATUS_INVALID_INPUT,
    STATUS_MODEL_ERROR,
    STATUS_TOO_LARGE,
    STATUS_VERSION_MISMATCH,
    STATUS_WRONG_SECRET,
    STATUSES,
    pack,
    unpack,
)
from model.remote.position_message import from_message
from model.remote.remote_layer import RemoteLayer, Request, Response
from model.remote.transport import Unreachable, transport_for
from model.structures.file_content import file_content
from model.trace.attention import Attention
from model.trace.check import Check
from model.trace.decoding import BeamNode, Decoding, DecodingResult
from model.trace.edits import Boxes, Edits
from model.trace.layer_inputs import LayerInputs, MultiHeadLayer, NotMultiHead
from model.trace.recorded_layer import RecordedLayer
from model.trace.tokens import Picture, Sound, Tokens
from model.trace.trace import Target, Trace
from model.trace.typed_text import InputChoices, SpokenSound, TypedText

if TYPE_CHECKING:
    from PIL import Image

ATTEMPTS = 6  # requests on a replica that dies are lost; another replica can compute them again
Files = Mapping[str, bytes]  # SHA-256 -> content of a picture, clip or sound
FILE_KINDS = {"image": "picture", "video": "clip", "sound": "sound"}  # what a model takes -> what its files are called


class RemoteModel:
    """A model on a server, with the interface of `model.trace.lens.Lens`.

    Args:
        address: "http://host:8000" of `python -m model.remote.server`, or "ray://host:10001" of the cluster it runs on.
        name: of the model: a catalog id, a hub name or a folder on the server.

    Raises:
        ModelError: the server cannot be reached ("backend_gone"), speaks another protocol version ("backend_version"),
            or cannot open the model (the server's reason).
    """

    def __init__(self, address: str, name: str) -> None:
        self._address, self._name = address, name
        self._transport = transport_for(address)
        properties, _ = self._request("facts")
        if properties.get("wire") != PROTOCOL_VERSION:
            version = properties.get("wire", 1)
            message = f"{address} speaks version {version} of Headlight's messages, this app {PROTOCOL_VERSION}."
            raise ModelError("backend_version", message)
        self.device: str = f"{properties['device']} @ {address}"
        self.max_tokens: int = properties["max_tokens"]
        self.takes: str = properties["takes"]
        self.is_encoder_decoder: bool = properties["is_encoder_decoder"]
        self.writes: bool = properties["writes"]
        self.heads: Mapping[str, tuple[int, int]] = {kind: (n, h) for kind, (n, h) in properties["heads"].items()}
        self.layer_index: Mapping[str, Sequence[int]] = properties["layer_index"]
        self.can_move_positions: bool = properties["can_move_positions"]
        self.choices = InputChoices(**_tuples(properties["choices"]))
        self.dtype: str = properties["dtype"]
        self._boxes: Boxes | None = None
        self.revision: str = properties["revision"]  # `model.catalog.revisions`, worked out on the server
        self.commit: str = properties["commit"]

    def _request(
        self, want: str, /, files: Files | None = None, affinity: ReplicaAffinity | None = None, **parameters: Any
    ) -> Response:
        """The server's response to one request.

        Args:
            want: what is requested; parameters: of the request.
            files: sent only to a replica that does not have them.
            affinity: the replica that has the run; updated where another one responds.

        Raises:
            InputError: the server rejects the input. ModelError: the server or the model fails.
        """
        request = {"wire": PROTOCOL_VERSION, "model": self._name, "want": want} | parameters
        affinity = affinity or ReplicaAffinity()
        status, content = self._send_with_retries(pack(request), affinity)
        if status == STATUS_FILES_REQUIRED:
            pictures = {name: np.frombuffer(picture, np.uint8) for name, picture in (files or {}).items()}
            status, content = self._send_with_retries(pack(request, pictures), affinity)
        try:
            meta, arrays = unpack(content)
        except ValueError as error:
            raise ModelError(
                "backend_version", f"{self._address} does not answer as a server of Headlight's: {error}"
            ) from error
        if status == STATUS_INVALID_INPUT:
            raise InputError(meta["reason"], meta["message"], **meta["values"])
        if status in (STATUS_MODEL_ERROR, STATUS_VERSION_MISMATCH, STATUS_WRONG_SECRET, STATUS_TOO_LARGE):
            raise ModelError(meta["reason"], meta["message"])
        return meta, arrays

    def _send_with_retries(self, body: bytes, affinity: ReplicaAffinity) -> tuple[int, bytes]:
        """Status and body of the response; a request without one is sent again, after a growing pause.

        Raises:
            ModelError: there was no response to any attempt ("backend_gone").
        """
        for attempt in range(ATTEMPTS):
            try:
                status, content, affinity.replica = self._transport.send(body, affinity.replica)
                if status in STATUSES:
                    return status, content
                failure = f"The server {self._address} answers {status}."
            except Unreachable as error:
                failure = str(error)
                affinity.replica = ""  # it may be dead; any replica can compute the run again
            if attempt < ATTEMPTS - 1:
                time.sleep(0.2 * 2**attempt)
        raise ModelError("backend_gone", failure)

    def trace(self, text: Any, target: Target = None, edits: Edits | None = None, **how: Any) -> Trace:
        chosen: Any = SpokenSound if self.takes == "sound" else TypedText
        return self.trace_batch([chosen(text, **how) if how else text], [target], edits)[0]

    def trace_batch(
        self, texts: Sequence[Any], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        names, files = self._names_and_files(texts)
        run = {"texts": names, "targets": list(targets), "edits": (edits or Edits()).text()}
        affinity = ReplicaAffinity()
        return tuple(
            self._trace(partial(self._request, files=files, affinity=affinity, row=row, **run), text, edits or Edits())
            for row, text in enumerate(texts)
        )

    def _names_and_files(self, texts: Sequence[Any]) -> tuple[list[Any], dict[str, bytes]]:
        """The inputs as they stand in a request, texts as typed and other files by checksum; and those files."""
        if self.takes == "text":
            return [text if isinstance(text, str) else dataclasses.asdict(text) for text in texts], {}
        files = [text.sound if isinstance(text, SpokenSound) else text for text in texts]
        contents = [_file_bytes(one, FILE_KINDS[self.takes]) for one in files]
        sums = [hashlib.sha256(content).hexdigest() for content in contents]
        names = [
            dataclasses.asdict(dataclasses.replace(text, sound=name)) if isinstance(text, SpokenSound) else name
            for text, name in zip(texts, sums, strict=True)
        ]
        return names, dict(zip(sums, contents, strict=True))

    def _trace(self, request: Request, text: Any, edits: Edits) -> Trace:
        """A trace whose metadata is fetched here, and whose arrays are fetched when they are read."""
        metadata, input_arrays = request("trace")

        def arrays(want: str) -> Mapping[str, Array]:
            return LazyMapping(metadata[want], lambda stack: request(want, stack=stack)[1][""])

        file = text.sound if isinstance(text, SpokenSound) else text
        path = str(file) if isinstance(file, (str, Path)) else ""  # of a picture or sound: only the app knows it
        logits = LazyRows(lambda start, stop: request("logits", rows=[start, stop])[1][""], metadata["logits"] or ())
        return Trace(
            text=metadata["text"] if self.takes == "text" else path,
            attentions={
                kind: Attention(
                    kind,
                    Tokens(**_tuples(one["queries"])),
                    Tokens(**_tuples(one["keys"])),
                    one["num_heads"],
                    one["head_dim"],
                    tuple(
                        RemoteLayer(partial(request, kind=kind, layer=layer), tuple(shape), scale, softcap)
                        for layer, (shape, scale, softcap) in enumerate(one["layers"])
                    ),
                    tuple(one["layer_index"]),
                )
                for kind, one in metadata["attentions"].items()
            },
            hidden_states=arrays("states"),
            neurons={},  # asked of the server when they are read
            tokens={stack: Tokens(**_tuples(tokens)) for stack, tokens in metadata["tokens"].items()},
            ids={stack: tuple(ids) for stack, ids in metadata["ids"].items()},
            prompt_length=metadata["prompt_length"],
            predicted=None if metadata["predicted"] is None else tuple(metadata["predicted"]),
            logits=None if metadata["logits"] is None else logits,  # type: ignore[arg-type]
            output=metadata["output"],
            classes=None if metadata["classes"] is None else [(str(name), p) for name, p in metadata["classes"]],
            notes=tuple((note, detail) for note, detail in metadata["notes"]),
            device=self.device,
            edits=edits,
            run_check=partial(self._verify, request),
            find_layer=partial(self._find_layer, request),
            take_apart=partial(self._take_apart, request),
            picture=None if metadata["picture"] is None else Picture(input_arrays["pixels"], **metadata["picture"]),
            sound=None if metadata["sound"] is None else Sound(input_arrays["loudness"], **metadata["sound"]),
        )

    def _verify(self, *run: Any) -> Check:
        return check_message.ask(*run)

    def _find_layer(self, request: Request, recorded: RecordedLayer) -> MultiHeadLayer | NotMultiHead:
        assert isinstance(recorded, RemoteLayer)
        meta, arrays = recorded.request("layer")
        if "reason" in meta:
            return NotMultiHead(meta["reason"], arrays.get("w_o"))
        output = arrays.pop("output")
        return MultiHeadLayer(LayerInputs(**arrays, num_heads=meta["num_heads"]), output, meta["names"])

    def _take_apart(self, request: Request, want: str, *arguments: Any) -> Any:
        return ask(request, want, *arguments)

    def decode(self, text: Any, how: Decoding, edits: Edits | None = None) -> DecodingResult:
        meta, _ = self._request(
            "decode", **self._input_fields(text), how=dataclasses.asdict(how), edits=(edits or Edits()).text()
        )
        return DecodingResult(tuple(meta["ids"]), meta["ended"], tuple(BeamNode(**node) for node in meta["tree"]))

    def labels(self, ids: Sequence[int], together: bool = False) -> tuple[str, ...]:
        return tuple(self._request("labels", ids=list(ids), together=together)[0]["labels"])

    def guess(self, text: Any, position: int, edits: Edits | None = None) -> Array | None:
        return self._request("guess", **self._input_fields(text), position=position, edits=(edits or Edits()).text())[
            1
        ].get("logits")

    def logit_lens(self, text: Any, target: Target = None, edits: Edits | None = None) -> tuple[Array, Array] | None:
        _, found = self._request(
            "logit_lens", **self._input_fields(text), target=target, edits=(edits or Edits()).text()
        )
        return (found["ids"], found["chances"]) if found else None

    def head_effects(
        self,
        text: Any,
        target: Target = None,
        edits: Edits | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> tuple[dict[str, Array], bool]:
        meta, found = self._request(
            "effects", **self._input_fields(text), target=target, edits=(edits or Edits()).text()
        )
        progress(1.0)
        return found, meta["words"]

    def boxes(self) -> Boxes:
        if self._boxes is None:
            self._boxes = self._request("boxes")[0]["boxes"]
        return self._boxes

    def _input_fields(self, text: Any) -> dict[str, Any]:
        """The arguments of `_request` that name one input."""
        names, files = self._names_and_files([text])
        return {"text": names[0], "files": files}

    def positions(self, stack: str | None = None) -> PositionScheme:
        return from_message(
            *self._request("positions", stack=stack or ("encoder" if self.is_encoder_decoder else "decoder"))
        )


@dataclasses.dataclass
class ReplicaAffinity:
    """The replica that has computed a run, to which further requests for it go; "" where none is known."""

    replica: str = ""


def _file_bytes(given: str | Path | bytes | Image.Image, kind: str) -> bytes:
    """A picture, clip or sound as the content of a file; as `model.structures.file_content.file_content`."""
    if isinstance(given, (bytes, str, Path)):
        return file_content(given, kind)
    file = io.BytesIO()
    given.save(file, "PNG")
    return file.getvalue()


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass out of JSON, where tuples are lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
