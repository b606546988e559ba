"""The picture of the whole model: its boxes, their order, their numbers and pictures, derived from one table."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from model.trace.edits import Edits
from model.trace.trace import Trace
from model.translator.translator import Translator
from tests.model.decomposition.families import TEXT, small_model
from viz.figures.theme import LIGHT
from viz.figures.whole_boxes import boxes, end_norms, joints, upper_edge
from viz.figures.whole_layout import HEIGHT, NARROW, WIDTH, WholeModel, layout
from viz.figures.whole_model import FADED, whole_model
from viz.language.messages import say
from viz.saving.still_image import still_image


def picture(trace: Trace, opened: int = 1) -> WholeModel:
    """What is drawn of a run, one layer open in each stack."""
    summaries = trace.block_summaries()
    places = [block.attention for one in summaries.values() for block in one.layers[opened] if block.attention]
    tiles = {place: trace.attentions[place[0]].layers[place[1]].overview(28).maps for place in places}
    candidates = [("chat", 0.6), ("chien", 0.3)] if trace.logits is not None else []
    return WholeModel(summaries, trace.tokens, dict.fromkeys(summaries, opened), tiles, candidates, 0)


@pytest.fixture(scope="module")
def translated(lens: Translator) -> WholeModel:
    return picture(lens.trace("The cat saw the cat."))


def test_boxes_come_in_the_order_of_computing(translated: WholeModel) -> None:
    names = [box.name for box in boxes(translated)]
    encoder = ["embedding", "positions", "0", "1.0", "1.1", "2"]
    decoder = ["embedding", "positions", "0", "1.0", "1.1", "1.2", "2"]
    assert names == [*(f"encoder.{one}" for one in encoder), *(f"decoder.{one}" for one in decoder), "output"]
    kinds = [box.kind for box in boxes(translated) if box.block is not None and box.stack == "decoder"]
    assert kinds == ["attention", "cross_attention", "feed_forward"]


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("opened", [0, 1])
def test_boxes_neither_overlap_nor_leave_the_picture(translated: WholeModel, opened: int, narrow: bool) -> None:
    for drawn in (translated, picture(small_model("llama").trace(TEXT), opened)):
        model = replace(drawn, narrow=narrow)
        table, places = boxes(model), layout(model)
        assert places.width == (NARROW if narrow else WIDTH)
        assert 0 <= min(map(upper_edge, table)) < 24  # over it only the stack's name
        for i, one in enumerate(table):
            assert 0 <= one.x[0] < one.x[1] <= places.width
            assert 0 <= one.y[0] < one.y[1] <= places.height
            for other in table[:i]:
                apart = one.x[0] >= other.x[1] or one.x[1] <= other.x[0]
                assert apart or one.y[1] <= other.y[0] or one.y[0] >= other.y[1], (one.name, other.name)
            if one.kind == "output":
                assert one.y[1] <= upper_edge(table[i - 1])  # over the first line of an open layer, too


@pytest.mark.parametrize("narrow", [False, True])
def test_arrows_lead_up_each_stack_and_from_the_encoder_to_every_layer_of_the_decoder(
    translated: WholeModel, narrow: bool
) -> None:
    model = replace(translated, narrow=narrow)
    arrows = [one for one in whole_model(model, LIGHT).data if one.line.color == LIGHT.second]
    tips = [(one.x[-2], one.y[-2]) for one in arrows]
    table = {box.name: box for box in boxes(model)}
    for stack in ("encoder", "decoder"):
        own = [box for box in table.values() if box.stack == stack and box.kind != "output"]
        assert tips.pop(0)[1] == min(map(upper_edge, own))
    asked = [table[name] for name in ("decoder.0", "decoder.1.1", "decoder.2")]
    assert tips == [(box.x[1] if narrow else box.x[0], sum(box.y) / 2) for box in asked]
    last = table["encoder.2"]
    assert {(one.x[0], one.y[0]) for one in arrows[2:]} == {(last.x[1], sum(last.y) / 2)}


def test_in_a_narrow_window_the_decoder_stands_over_the_encoder(translated: WholeModel) -> None:
    wide, narrow = (boxes(replace(translated, narrow=narrow)) for narrow in (False, True))
    assert [box.name for box in narrow] == [box.name for box in wide]
    assert [box.sentence for box in narrow] == [box.sentence for box in wide]
    tops = [min(box.y[0] for box in narrow if box.stack == stack) for stack in ("encoder", "decoder")]
    assert tops[0] > max(box.y[1] for box in narrow if box.stack == "decoder") > tops[1]


def test_many_layers_fold_into_the_height_of_the_picture(translated: WholeModel) -> None:
    summary = translated.stacks["encoder"]
    deep = replace(summary, layers=summary.layers * 10, layer_share=np.tile(summary.layer_share, (10, 1)))
    for narrow in (False, True):
        model = WholeModel({"encoder": deep}, translated.tokens, {"encoder": 7}, narrow=narrow)
        assert layout(model).height <= HEIGHT
        assert sum(box.kind == "folded" for box in boxes(model)) == 29


def test_numbers_are_those_of_the_run(lens: Translator) -> None:
    trace = lens.trace("The cat saw the cat.")
    table = {box.name: box for box in boxes(picture(trace))}
    block = trace.blocks("decoder").layers[1].blocks[2]
    state = trace.blocks("decoder").states[1]
    for one in trace.blocks("decoder").layers[1].blocks[:2]:
        state = one.apply(state)
    share = float(np.median(np.linalg.norm(block.adds, axis=-1) / np.linalg.norm(state, axis=-1)))
    assert table["decoder.1.2"].share == pytest.approx(share, rel=1e-4)
    assert table["decoder.1.2"].note == f"adds {share:.0%}"
    assert "1,024" in table["decoder.1.2"].title
    assert table["decoder.1.1"].attention == ("cross", 1)
    assert table["decoder.1.1"].page == "heads"
    assert "8 heads" in table["encoder.1.0"].sentence


def test_tokens_stand_side_by_side_in_every_strip(translated: WholeModel) -> None:
    figure = whole_model(translated, LIGHT)
    texts = translated.tokens["encoder"].texts
    assert texts.count("cat") == 2
    strips = [one for one in figure.layout.meta["focus"] if one["axis"] == "x" and one["stack"] == "encoder"]
    assert len(strips) == 5  # embedding, positions, two folded layers, neurons
    assert all(one["places"] == list(range(len(texts))) for one in strips)
    labels = [note for note in figure.layout.annotations if note.text == "cat" and note.x < WIDTH / 2]
    assert [note.x for note in labels] == pytest.approx(
        [strips[0]["at"][i] for i, text in enumerate(texts) if text == "cat"]
    )


def test_pictures_show_what_they_stand_for(translated: WholeModel) -> None:
    figure = whole_model(translated, LIGHT)
    sources = {box["name"]: box["image"] for box in figure.layout.meta["boxes"]}

    def pixels(name: str) -> np.ndarray:
        picture = Image.open(io.BytesIO(base64.b64decode(sources[name].split(",", 1)[1])))
        return np.asarray(picture.convert("RGBA"))

    embedding = pixels("encoder.embedding")
    wide = embedding.shape[1] // len(translated.tokens["encoder"])
    first, again = (i for i, text in enumerate(translated.tokens["encoder"].texts) if text == "cat")
    np.testing.assert_array_equal(embedding[:, first * wide], embedding[:, again * wide])  # the same word
    positions = pixels("encoder.positions")
    assert (positions[:, first * wide] != positions[:, again * wide]).any()  # at another place
    # A decoder's tiles are blank above the diagonal.
    assert (pixels("decoder.1.0")[0, 20:28, 3] == 0).all()


@pytest.mark.parametrize(("heads", "rows"), [(8, 1), (12, 1), (32, 2)])
def test_many_heads_take_several_rows_of_tiles(translated: WholeModel, heads: int, rows: int) -> None:
    maps = translated.tiles["encoder", 1]
    tiles = translated.tiles | {("encoder", 1): np.resize(maps, (heads, *maps.shape[1:]))}
    figure = whole_model(replace(translated, tiles=tiles), LIGHT)
    marks = [one for one in figure.layout.meta["focus"] if one["axis"] == "y" and one["stack"] == "encoder"]
    assert len(marks) == rows
    box = next(one for one in boxes(translated) if one.name == "encoder.1.0")
    for one in marks:
        assert box.y[0] < min(one["at"]) < max(one["at"]) < box.y[1]
        assert box.x[0] < one["span"][0] < one["span"][1] < box.x[1]


def drawn(family: str, *left_out: tuple[str, int, str]) -> WholeModel:
    """A small model of a family, without tiles."""
    trace = small_model(family).trace(TEXT)
    summaries = trace.block_summaries()
    return WholeModel(summaries, trace.tokens, dict.fromkeys(summaries, 1), left_out=left_out)


@pytest.mark.parametrize(("family", "ends"), [("bert", ["embedding"]), ("llama", ["final"]), ("bart", ["embedding"])])
def test_norms_of_the_embedding_and_of_the_last_state_stand_at_their_ends(family: str, ends: list[str]) -> None:
    stack = "decoder" if family == "llama" else "encoder"
    plain = drawn(family)
    assert list(end_norms(plain, stack)) == ends
    place = (stack, 0 if ends == ["embedding"] else 1, f"{ends[0]}_norm")
    without = replace(drawn(family, place), open=plain.open)
    assert end_norms(without, stack) == {ends[0]: say("whole.norm_out")}
    for model in (plain, without):
        said = [note.text for note in whole_model(model, LIGHT).layout.annotations]
        assert f"▲ {end_norms(model, stack)[ends[0]]}" in said
    assert not any(box.left_out for box in boxes(without))  # no box is


def test_joints_say_where_norms_stand_and_which_are_left_out() -> None:
    assert joints(drawn("llama"), "decoder") == ["norm", "add · norm", "add"]
    assert joints(drawn("gemma2"), "decoder") == ["norm", "norm, then add · norm", "norm, then add"]
    assert joints(drawn("bert"), "encoder") == ["", "add, then norm", "add, then norm"]
    assert joints(drawn("gpt-neox"), "decoder") == ["norm", "add · norm · reads the layer's input", "add"]
    out, gain = say("whole.norm_out"), say("whole.gain_out")
    model = drawn("llama", ("decoder", 1, "feed_forward_norm"), ("decoder", 0, "attention_norm"))
    assert joints(model, "decoder") == ["norm", f"add · {out}", "add"]
    model = drawn("gemma2", ("decoder", 1, "attention_gain_after"), ("decoder", 1, "feed_forward_norm"))
    assert joints(model, "decoder") == ["norm", f"{gain} · add · {out}", "norm, then add"]
    model = drawn("bert", ("encoder", 1, "attention_gain"), ("encoder", 1, "feed_forward_norm"))
    assert joints(model, "encoder") == ["", f"add · {gain}", f"add · {out}"]


def test_a_box_beside_another_has_an_arrow_from_the_input_of_both() -> None:
    model = drawn("gpt-neox")
    attention, beside = (box for box in boxes(model) if box.block is not None)
    assert (attention.reads, beside.reads) == (None, 0)
    assert say("whole.say_beside") in beside.sentence
    assert say("whole.say_beside") not in attention.sentence
    arrow = [one for one in whole_model(model, LIGHT).data if one.line.color == LIGHT.second][-1]
    assert arrow.y[0] > attention.y[1]
    assert (arrow.x[-2], arrow.y[-2]) == (beside.x[1], sum(beside.y) / 2)


def test_layers_that_share_their_weights_say_so(translated: WholeModel) -> None:
    said = {
        box.kind: say("whole.say_shared") in box.sentence for box in boxes(drawn("albert")) if box.layer is not None
    }
    assert said == dict.fromkeys(said, True)
    assert {"folded", "attention", "feed_forward"} <= {*said}
    assert not any(say("whole.say_shared") in box.sentence for box in boxes(translated))


@pytest.mark.parametrize("family", ["bert", "gpt-neox", "qwen3-moe", "lfm2", "t5", "bloom"])
def test_every_build_is_drawn_and_saved(family: str) -> None:
    lens = small_model(family)
    trace = lens.trace(TEXT, "le chat était assis" if lens.is_encoder_decoder else None)
    model = (
        picture(trace)
        if lens.uses_interface
        else WholeModel({"decoder": trace.block_summaries()["decoder"]}, trace.tokens, {"decoder": 1})
    )
    figure = whole_model(model, LIGHT)
    go.Figure(figure.to_dict())  # Plotly checks every property
    assert still_image(figure, "#ffffff", "png").startswith(b"\x89PNG")


def test_boxes_that_cannot_be_told_apart_are_said(translated: WholeModel) -> None:
    summary = replace(translated.stacks["encoder"], layers=((), (), ()))
    model = WholeModel({"encoder": summary}, translated.tokens, {"encoder": 1})
    assert [box.kind for box in boxes(model)][-2:] == ["unknown", "folded"]
    whole_model(model, LIGHT)


def test_a_box_that_is_left_out_says_so_and_what_it_added_before(lens: Translator) -> None:
    text, target = "The cat saw the cat.", "Le chat a vu le chat."
    before = picture(lens.trace(text, target))
    edited = lens.trace(text, target, edits=Edits(blocks={("decoder", 1, "cross_attention")}))
    out = {("decoder", 1, "cross_attention"), ("encoder", 2, "feed_forward_norm")}
    model = replace(picture(edited), before=before.stacks, left_out=out)
    notes, sentences = ({box.name: getattr(box, what) for box in boxes(model)} for what in ("note", "sentence"))
    added = {box.name: f"{box.share:.0%}" for box in boxes(before) if box.share is not None}
    assert notes["decoder.1.1"] == say("whole.was", now=say("whole.nothing"), before=added["decoder.1.1"])
    assert sentences["decoder.1.1"] == say("whole.say_left_out")
    assert notes["decoder.1.2"].endswith(f"(was {added['decoder.1.2']})")  # what follows reads another stream
    assert notes["decoder.1.0"] == say("whole.adds", share=added["decoder.1.0"])  # what comes before is as it was
    assert notes["encoder.2"] == say("whole.adds", share=added["encoder.2"])
    assert all("was" not in box.note for box in boxes(before))
    titles = {box.name: box.title for box in boxes(model)}
    norm = say("whole.part_norm", box=say("whole.feed_forward"))
    assert titles["encoder.2"] == say("whole.layer_without", layer=2, parts=norm)
    assert titles["encoder.0"] == say("whole.layer", layer=0)
    faded = [image.y for image in whole_model(model, LIGHT).layout.images if image.opacity == FADED]
    box = next(box for box in boxes(model) if box.name == "decoder.1.1")
    assert len(faded) == 1
    assert box.y[0] < faded[0] < box.y[1]
