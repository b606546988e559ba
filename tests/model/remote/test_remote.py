"""Models behind an address: the same numbers, only what is drawn on the wire, and nothing lost when a replica dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import wraps
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from model.catalog.opening import load_in_process
from model.catalog.revisions import commit, revision
from model.errors import InputError, ModelError
from model.huggingface.text_model import TextModel
from model.libraries.runner import run as run_library
from model.libraries.script import formula_inputs
from model.maps.words import join_silence
from model.measures.heads.head_steps import head_steps
from model.memory.cached_layers import with_cached_layers
from model.memory.keyed_traces import without_arrays
from model.memory.result_cache import ResultCache
from model.remote.client import RemoteModel
from model.remote.messages import PROTOCOL_VERSION, STATUS_OK, pack, unpack
from model.remote.request_handler import RequestHandler
from model.trace.check import Probe
from model.trace.decoding import Decoding
from model.trace.edits import Edits
from model.trace.layer_inputs import MultiHeadLayer
from model.trace.trace import Trace
from model.translator.translator import Translator
from tests.app.driving import PAGES, go_to, heat, opened, texts
from tests.model.huggingface.test_families import GROUPED
from tests.model.huggingface.test_families import TEXT as READ
from tests.model.huggingface.test_families import build as build_family
from tests.model.huggingface.test_layer_kinds import opened as made_text
from tests.model.huggingface.test_sound import build as build_hearing
from tests.model.huggingface.test_sound import many_languages
from tests.model.huggingface.test_vision import build

TEXT, HELD = "The red car stopped.", "We wait for it."


class Counted(BaseHTTPRequestHandler):
    """Answers as a replica would; counts bytes, and fails as often as it is told to."""

    handler = RequestHandler("cpu")
    sent, got, failing = 0, 0, 0
    held = Event()  # until it is set, nobody hears of HELD

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Counted.got += len(body)
        if HELD.encode() in body:
            self.held.wait(60)
        if Counted.failing:
            Counted.failing -= 1
            self.send_error(500)
            return
        status, reply = self.handler.handle(body)
        Counted.sent += len(reply)
        self.send_response(status)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counted)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def same(a: Trace, b: Trace) -> None:
    """Equal in everything a page draws."""
    assert (a.output, a.predicted, a.ids, a.prompt_length, a.notes, a.tokens) == (
        b.output,
        b.predicted,
        b.ids,
        b.prompt_length,
        b.notes,
        b.tokens,
    )
    for kind, one in a.attentions.items():
        other = b.attentions[kind]
        for layer in range(one.num_layers):
            for name in ("weights", "scores", "query", "key", "value", "mask", "bias"):
                np.testing.assert_array_equal(getattr(one, name)(layer), getattr(other, name)(layer))
            assert one.scale(layer) == other.scale(layer)
    for stack in a.hidden_states:
        np.testing.assert_array_equal(a.hidden_states[stack], b.hidden_states[stack])
        np.testing.assert_array_equal(a.neurons[stack], b.neurons[stack])
    np.testing.assert_array_equal(np.asarray(a.logits), np.asarray(b.logits))


def test_messages_hold_what_was_packed_and_nothing_is_executed() -> None:
    meta, arrays = unpack(pack({"a": [1, None, "é"]}, {"w": np.ones((2, 3), np.float32)}))
    assert meta == {"a": [1, None, "é"]}
    assert arrays["w"].shape == (2, 3)
    for wrong in (b"", b"nonsense", pack({})[:50]):
        with pytest.raises(ValueError, match="no message"):
            unpack(wrong)


@pytest.mark.parametrize("edits", [None, Edits(heads={("cross", 0, 3): 0.0}, positions="shuffled")])
def test_a_remote_run_has_the_same_numbers(address: str, lens: Translator, edits: Edits | None) -> None:
    remote = RemoteModel(address, "en-fr")
    ours, theirs = lens.trace(TEXT, edits=edits), remote.trace(TEXT, edits=edits)
    same(ours, theirs)
    assert theirs.verify().ok
    layer = theirs.multi_head("encoder", 1)
    assert isinstance(layer, MultiHeadLayer) == isinstance(ours.multi_head("encoder", 1), MultiHeadLayer)
    how = Decoding("beam", beams=3)
    assert remote.decode(TEXT, how, edits) == lens.decode(TEXT, how, edits)
    np.testing.assert_array_equal(remote.logit_lens(TEXT)[0], lens.logit_lens(TEXT)[0])  # type: ignore[index]
    effects, _ = remote.head_effects(TEXT, ours.ids["decoder"][1:])
    np.testing.assert_allclose(effects["cross"], lens.head_effects(TEXT, ours.ids["decoder"][1:])[0]["cross"])
    assert remote.labels([5, 6]) == lens.labels([5, 6])
    np.testing.assert_array_equal(remote.positions().table, lens.positions().table)  # type: ignore[arg-type]
    assert remote.guess(TEXT, 1) is None
    assert (remote.revision, remote.commit) == (revision("en-fr"), commit("en-fr"))


@pytest.mark.parametrize("edits", [None, Edits(heads={("cross", 0, 3): 0.0})])
def test_what_was_measured_on_the_server_is_compared_there(address: str, edits: Edits | None) -> None:
    remote = RemoteModel(address, "en-fr")
    trace = remote.trace(TEXT, edits=edits)
    forced = trace.ids["decoder"][1:]
    found = remote.logit_lens(TEXT, forced, edits)
    assert found is not None
    effects, in_bits = remote.head_effects(TEXT, forced, edits)
    neurons = dict(trace.neurons)
    check = trace.verify_probe(Probe(lens=found, effects=effects, in_bits=in_bits, neurons=neurons))
    assert check.verdict == "proved"
    assert {part.name for part in check.parts} == {"lens", "effects", "neurons"}
    assert not check.uncompared
    neurons["encoder"] = neurons["encoder"] * np.float32(1.001)
    for broken in (
        Probe(lens=(found[0], found[1] * np.float32(1.001))),
        Probe(effects=effects | {"cross": effects["cross"][::-1]}, in_bits=in_bits),
        Probe(neurons=neurons),
    ):
        assert [part.name for part in trace.verify_probe(broken).wrong_parts] == list(broken.names)


def test_a_guess_is_compared_with_a_run_of_the_librarys_own(address: str, tmp_path: Path) -> None:
    build_family("bert", tmp_path)
    for lens in (load_in_process(str(tmp_path), "cpu"), RemoteModel(address, str(tmp_path))):
        trace, found = lens.trace(READ), lens.guess(READ, 3)
        assert found is not None
        assert trace.ids == lens.trace(READ).ids  # the text itself stays as it was
        check = trace.verify_probe(Probe(guess=(3, found)))
        assert check.ok
        assert check.independent
        assert [part.name for part in check.parts] == ["guess"]
        for broken in ((3, found[::-1].copy()), (3, found * np.float32(1.01)), (2, found)):
            assert [part.name for part in trace.verify_probe(Probe(guess=broken)).wrong_parts] == ["guess"]


def test_what_is_chosen_for_a_text_travels_and_positions_of_either_stack_too(address: str, tmp_path: Path) -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    made_text(tmp_path / "t5", "T5ForConditionalGeneration", "T5Config", sizes)
    own, remote = load_in_process(str(tmp_path / "t5"), "cpu"), RemoteModel(address, str(tmp_path / "t5"))
    assert remote.choices == own.choices
    ours, theirs = (one.trace("the <mask> sat", marks=False) for one in (own, remote))  # type: ignore[call-arg]
    assert ours.ids == theirs.ids
    assert theirs.text == "the <mask> sat"
    assert ours.ids["encoder"] != remote.trace("the <mask> sat").ids["encoder"]
    for stack in ("encoder", "decoder"):
        assert remote.positions(stack).equals(own.positions(stack))
    made_text(tmp_path / "llama", "LlamaForCausalLM", "LlamaConfig", GROUPED)
    own, remote = load_in_process(str(tmp_path / "llama"), "cpu"), RemoteModel(address, str(tmp_path / "llama"))
    assert remote.positions().equals(own.positions())
    assert remote.positions().rotations[0].layers == (0, 1)


@pytest.mark.parametrize("family", ["gemma2", "gpt-oss"])
def test_every_holder_of_a_layer_hands_on_its_cap_and_its_sinks(family: str, address: str, tmp_path: Path) -> None:
    build_family(family, tmp_path)
    own = load_in_process(str(tmp_path), "cpu").trace(READ, "")
    cached = with_cached_layers(own, ResultCache(10**7))
    holders = (cached, without_arrays(cached, lambda: cached), RemoteModel(address, str(tmp_path)).trace(READ, ""))
    expected = head_steps(own.attentions["decoder"], 1, 2, 5)
    assert (expected.softcap is None, expected.sink is None) == (family != "gemma2", family != "gpt-oss")
    for holder in holders:
        attention = holder.attentions["decoder"]
        steps = head_steps(attention, 1, 2, 5)
        assert (steps.softcap, steps.sink) == (expected.softcap, expected.sink)
        assert steps.error < 1e-5
        assert steps.follows_scores
        np.testing.assert_allclose(
            steps.weights_at(steps.divisor), own.attentions["decoder"].weights(1)[2, 5], atol=1e-6
        )
        made = run_library("pytorch", "formula", vars(formula_inputs(attention, 1)))
        np.testing.assert_allclose(made.weights, own.attentions["decoder"].weights(1), atol=1e-6)


def test_only_what_is_drawn_is_sent(address: str) -> None:
    Counted.sent = 0
    trace = RemoteModel(address, "en-fr").trace("I see a very small cat in the old garden.")
    outline = Counted.sent
    assert outline < 20_000
    layer = trace.attentions["encoder"].weights(1)
    assert layer.nbytes < Counted.sent - outline < layer.nbytes + 2_000
    trace.attentions["encoder"].weights(1)
    assert Counted.sent - outline < layer.nbytes + 2_000  # fetched once
    before = Counted.sent
    assert trace.logits is not None
    row = trace.logits[2]
    assert Counted.sent - before < row.nbytes + 2_000


def test_a_pass_taken_apart_travels_and_only_what_is_drawn_of_it(address: str, lens: Translator) -> None:
    ours, theirs = lens.trace(TEXT), RemoteModel(address, "en-fr").trace(TEXT)
    Counted.sent = 0
    credit, split = theirs.credit(2, 7, 9), theirs.why("cross", 1, 3, 2, 1)
    assert Counted.sent < 20_000
    assert credit.sources == ours.credit(2, 7, 9).sources
    np.testing.assert_allclose(credit.parts, ours.credit(2, 7, 9).parts, atol=1e-5)
    assert credit.logit == pytest.approx(ours.credit(2, 7, 9).logit, abs=1e-5)
    own = ours.why("cross", 1, 3, 2, 1)
    assert (split.queries, split.keys) == (own.queries, own.keys)
    np.testing.assert_allclose(split.parts, own.parts, atol=1e-5)
    sent = Counted.sent
    summaries, stacks = theirs.block_summaries(), {stack: ours.blocks(stack) for stack in ("encoder", "decoder")}
    assert Counted.sent - sent < sum(stack.nbytes for stack in stacks.values()) / 4
    assert summaries["decoder"].layers[1][1].attention == ("cross", 1)
    for stack, here in ours.block_summaries().items():
        np.testing.assert_allclose(summaries[stack].layers[1][1].share, here.layers[1][1].share, rtol=1e-4)
    far, near = theirs.blocks("encoder"), stacks["encoder"]
    assert far.error < 1e-5
    np.testing.assert_allclose(far.layers[2].blocks[0].adds, near.layers[2].blocks[0].adds, atol=1e-5)
    assert far.layers[2].blocks[0].sum_norm is not None


def test_why_a_pass_cannot_be_taken_apart_travels(address: str, tmp_path: Path) -> None:
    made_text(tmp_path / "bert", "BertModel", "BertConfig", {})
    with pytest.raises(InputError) as caught:
        RemoteModel(address, str(tmp_path / "bert")).trace("the cat sat").credit(1, 2)
    assert caught.value.reason == "no_credit"


def test_neurons_are_computed_where_they_are_asked_for(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_text(tmp_path / "llama", "LlamaForCausalLM", "LlamaConfig", GROUPED)
    own, taken = load_in_process(str(tmp_path / "llama"), "cpu").trace("the cat sat"), []
    apart = TextModel.take_pass_apart

    @wraps(apart)
    def counted(*args: Any) -> Any:
        taken.append(args[-2])
        return apart(*args)

    monkeypatch.setattr(TextModel, "take_pass_apart", counted)
    theirs = RemoteModel(address, str(tmp_path / "llama")).trace("the cat sat")
    assert not taken
    assert theirs.nbytes
    replace(theirs, text="")  # a copy asks for none either
    assert not taken
    np.testing.assert_allclose(theirs.neurons["decoder"], own.neurons["decoder"], atol=1e-6)
    assert taken.count("neurons") == 1
    assert "encoder" not in theirs.neurons


def test_wrong_input_and_wrong_models_say_the_same_as_here(address: str) -> None:
    remote = RemoteModel(address, "en-fr")
    with pytest.raises(InputError, match="empty") as wrong:
        remote.trace(" ")
    assert wrong.value.reason == "text_empty"
    with pytest.raises(InputError, match="nothing left"):
        remote.trace(TEXT, edits=Edits(blocked={("decoder", 0, 0)}))
    with pytest.raises(ModelError) as caught:
        RemoteModel(address, "no-such-model")
    assert caught.value.reason == "unknown"


def test_a_failing_server_is_asked_again_and_a_missing_one_is_said(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    Counted.failing = 3
    assert RemoteModel(address, "en-fr").trace(TEXT).output
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        RemoteModel("http://127.0.0.1:9", "en-fr")
    assert caught.value.reason == "backend_gone"


def test_the_app_is_a_thin_client(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from viz.frame import server_state

    server_state.drop_all()
    here = opened()
    local = heat(here)["z"]
    server_state.drop_all()
    monkeypatch.setenv("HEADLIGHT_BACKEND", address)
    app = opened()
    assert heat(app)["z"] == local
    app.session_state["badge_page"] = True  # the menu is open
    app.run()
    assert address.removeprefix("http://") in texts(app).replace("\\", "")
    for page in PAGES:
        go_to(app, page)
        assert not app.exception, page
        assert not app.error, page
    server_state.drop_all()


def test_a_slow_answer_keeps_nobody_else_waiting(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from viz.frame import server_state

    monkeypatch.setenv("HEADLIGHT_BACKEND", address)
    server_state.drop_all()

    def run(text: str) -> str | None:
        return server_state.cached_traces("en-fr", "auto", (text,), (None,), Edits())[0].output

    assert run(TEXT)  # the model is open
    Counted.held.clear()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(run, HELD)
        try:
            assert pool.submit(run, "I see a cat.").result(timeout=30)
            assert not slow.done()
        finally:
            Counted.held.set()
        assert slow.result(timeout=30)
    server_state.drop_all()


def test_equal_requests_at_one_time_are_computed_once(lens: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    handler, passes = RequestHandler("cpu"), []
    trace_batch = Translator.trace_batch

    def counted(*args: Any) -> tuple[Trace, ...]:
        passes.append(args[1])
        time.sleep(0.3)
        return trace_batch(*args)

    monkeypatch.setattr(Translator, "trace_batch", counted)
    run = {"wire": PROTOCOL_VERSION, "model": "en-fr", "texts": [TEXT], "targets": [None], "edits": "", "row": 0}
    with ThreadPoolExecutor(8) as pool:
        wanted = [pack(run | {"want": want}) for want in ("trace", "states") for _ in range(4)]
        wanted[4:] = [pack(run | {"want": "states", "stack": "encoder"})] * 4
        found = list(pool.map(handler.handle, wanted))
    assert len(passes) == 1
    assert len(set(found)) == 2
    assert {status for status, _ in found} == {STATUS_OK}


def test_another_version_is_said_by_both_sides(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.remote.client.PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
    with pytest.raises(
        ModelError, match=f"app speaks version {PROTOCOL_VERSION + 1} .* server {PROTOCOL_VERSION}"
    ) as caught:
        RemoteModel(address, "en-fr")
    assert caught.value.reason == "backend_version"


def test_a_server_that_is_something_else_is_said() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(ModelError, match="does not answer as a server of Headlight's"):
        RemoteModel(f"http://127.0.0.1:{server.server_address[1]}", "en-fr")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("address", ["localhost:8000", "grpc://localhost:1", "ray:/host"])
def test_an_address_of_another_kind_is_said(address: str) -> None:
    with pytest.raises(ModelError, match=f"is '{address}'; it must be") as caught:
        RemoteModel(address, "en-fr")
    assert caught.value.reason == "backend_missing"


def test_the_frames_of_a_clip_stay_apart_over_the_wire(address: str) -> None:
    clip = "assets/clips/clip_one.gif"
    ours = load_in_process("moving-digits", "cpu").trace(clip)
    theirs = RemoteModel(address, "moving-digits").trace(clip)
    assert ours.picture is not None
    assert theirs.picture is not None
    assert theirs.picture.frames == ours.picture.frames == 8
    np.testing.assert_array_equal(theirs.picture.pixels, ours.picture.pixels)
    np.testing.assert_allclose(theirs.attentions["time"].weights(1), ours.attentions["time"].weights(1), atol=1e-6)


def test_pictures_are_sent_once_to_who_lacks_them(address: str, tmp_path: Path) -> None:
    folder = tmp_path
    build("vit", folder)
    picture = next(Path("assets/pictures").glob("*.png"))
    lens, remote = load_in_process(str(folder), "cpu"), RemoteModel(address, str(folder))
    Counted.got = 0
    ours, theirs = lens.trace(str(picture)), remote.trace(str(picture))
    size = picture.stat().st_size
    assert size < Counted.got < size + 3_000
    assert theirs.picture is not None
    assert ours.picture is not None
    np.testing.assert_array_equal(theirs.picture.pixels, ours.picture.pixels)
    assert (theirs.picture.rows, theirs.picture.columns) == (ours.picture.rows, ours.picture.columns)
    np.testing.assert_array_equal(theirs.attentions["encoder"].weights(0), ours.attentions["encoder"].weights(0))
    assert theirs.text == str(picture)
    assert Counted.got < size + 5_000
    with pytest.raises(InputError, match="no picture"):
        remote.trace("nowhere.png")


def test_a_sound_is_the_same_over_the_wire(address: str, tmp_path: Path) -> None:
    build_hearing("whisper", tmp_path)
    many_languages(tmp_path)
    sound, chosen = "assets/sounds/four_tones.wav", {"source_language": "fr", "task": "translate"}
    ours = load_in_process(str(tmp_path), "cpu").trace(sound, **chosen)
    remote = RemoteModel(address, str(tmp_path))
    assert remote.choices.source_languages == ("en", "fr")
    theirs = remote.trace(sound, **chosen)
    assert theirs.sound is not None
    assert ours.sound is not None
    assert theirs.sound.step == ours.sound.step
    np.testing.assert_array_equal(theirs.sound.loudness, ours.sound.loudness)
    assert (theirs.text, theirs.output, theirs.notes) == (sound, ours.output, ours.notes)
    assert theirs.ids["decoder"] == ours.ids["decoder"]
    assert theirs.ids["decoder"][1:3] == (7, 9)
    far, near = (join_silence(one.attentions["cross"]) for one in (theirs, ours))
    assert far.key_tokens == near.key_tokens
    np.testing.assert_allclose(far.weights(1), near.weights(1), atol=1e-6)
    assert theirs.verify().ok
    with pytest.raises(InputError) as caught:
        remote.trace("nowhere.wav")
    assert caught.value.reason == "sound_missing"


def test_boxes_are_left_out_over_the_wire(address: str, lens: Translator) -> None:
    far = RemoteModel(address, "en-fr")
    assert {stack: tuple(map(tuple, layers)) for stack, layers in far.boxes().items()} == lens.boxes()
    edits = Edits(blocks={("decoder", 1, "cross_attention"), ("encoder", None, "feed_forward")})
    ours, theirs = lens.trace(TEXT, edits=edits), far.trace(TEXT, edits=edits)
    assert theirs.output == ours.output != lens.trace(TEXT).output
    np.testing.assert_allclose(theirs.hidden_states["decoder"], ours.hidden_states["decoder"], atol=1e-4)
    assert not theirs.block_summaries()["decoder"].layers[1][1].share.any()
    assert theirs.verify().ok
