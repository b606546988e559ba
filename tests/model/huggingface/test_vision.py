"""Models that read pictures: the contract of the other families, and pictures that cannot be read."""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image, ImageSequence
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest

import model
from model.catalog import store
from model.catalog.entries import CATALOG, Entry
from model.errors import InputError, ModelError
from model.huggingface.vision.image_files import read_picture
from model.huggingface.vision.vision_model import VisionModel
from model.structures.clip_files import read_colour_clip
from model.trace.boxes.stack import StackLayer
from model.trace.edits import Edits
from model.trace.tokens import Picture
from tests.app.driving import go_to, offering, titles
from tests.model.huggingface.small_models import OpenedFamilies, save
from viz.figures.pictures import patch_overlay
from viz.figures.theme import LIGHT
from viz.frame import server_state
from viz.language.messages import say

PICTURES = sorted(Path("assets/pictures").glob("*.png"))
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
SMALL |= {"image_size": 24, "patch_size": 8}
WHOLE = {"size": {"height": 24, "width": 24}}
CUT = {"size": {"shortest_edge": 28}, "crop_size": {"height": 24, "width": 24}}
# family: (model class, config class, further sizes, image processor, its sizes, what stands before the patches)
FAMILIES = {
    "vit": ("ViTForImageClassification", "ViTConfig", {}, "ViTImageProcessorPil", WHOLE, ["[CLS]"]),
    "vit-base": ("ViTModel", "ViTConfig", {}, "ViTImageProcessorPil", WHOLE, ["[CLS]"]),
    "deit": ("DeiTModel", "DeiTConfig", {}, "ViTImageProcessorPil", WHOLE, ["[CLS]", "[DIST]"]),
    "dinov2": (
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        {"num_register_tokens": 2},
        "BitImageProcessorPil",
        CUT,
        ["[CLS]", "[REG]", "[REG]"],
    ),
    "data2vec": ("Data2VecVisionModel", "Data2VecVisionConfig", {}, "ViTImageProcessorPil", WHOLE, ["[CLS]"]),
    "timesformer": (
        "TimesformerModel",
        "TimesformerConfig",
        {"num_frames": 2},
        "VideoMAEImageProcessorPil",
        CUT,
        ["[CLS]"],
    ),
    "videomae": (
        "VideoMAEForVideoClassification",
        "VideoMAEConfig",
        {"num_frames": 4, "tubelet_size": 2},
        "VideoMAEImageProcessorPil",
        CUT,
        [],
    ),
}
SLICES = {"videomae": 2}  # frames that its tokens tell apart
CLASSIFIERS = {"vit", "videomae"}
WEIGHTS_ONLY = {"data2vec", "timesformer"}


def build(family: str, folder: Path, random: bool = False) -> None:
    """Save a small random model of a family, with its image processor, to a folder.

    Args:
        random: whether what the library makes zero or small, as tables of positions, is large and random, too.
    """
    module, config, sizes, processor, shape, _ = FAMILIES[family]
    torch.manual_seed(3)
    made = getattr(transformers, module)(getattr(transformers, config)(**SMALL, **sizes))
    with torch.no_grad():
        for parameter in made.parameters() if random else ():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save(made, folder, getattr(transformers, processor)(**shape))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, VisionModel]:
    """Opens each family once, through the public door."""
    return OpenedFamilies(build, tmp_path_factory.mktemp)


@pytest.mark.parametrize("family", FAMILIES)
def test_contract(opened: dict[str, VisionModel], family: str) -> None:
    lens, extras = opened[family], FAMILIES[family][5]
    assert lens.takes == "image"
    assert lens.uses_interface == (family not in WEIGHTS_ONLY)
    trace = lens.trace(PICTURES[0])
    assert dict(trace.neurons) or family == "data2vec"  # computed, they are compared, too
    check = trace.verify()
    assert check.ok, check
    assert not check.uncompared
    assert check.max_weight_error < 1e-5
    assert check.max_logit_error < 1e-5
    assert list(trace.attentions) == ["encoder"]
    tokens = trace.tokens["encoder"]
    slices = SLICES.get(family, 1)
    assert list(tokens.texts) == [*extras, *(f"{row},{column}" for row in range(3 * slices) for column in range(3))]
    assert list(tokens.special) == [i < len(extras) for i in range(len(tokens))]
    attention = trace.attentions["encoder"]
    for layer in range(2):
        weights = attention.weights(layer)
        assert weights.shape == (4, len(tokens), len(tokens))
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        assert attention.mask(layer).all()
    assert trace.hidden_states["encoder"].shape == (3, len(tokens), 32)
    assert (trace.output is None) == (family not in CLASSIFIERS)
    assert trace.picture is not None
    assert trace.picture.pixels.shape == (24 * slices, 24, 3)
    assert trace.picture.frames == slices


@pytest.mark.parametrize("family", ["timesformer", "videomae"])
def test_a_video_model_reads_the_frames_of_a_clip(opened: dict[str, VisionModel], family: str) -> None:
    lens = opened[family]
    clip = Path("assets/clips/clip_one.gif")  # 8 frames
    trace = lens.trace(clip)
    assert trace.verify().ok
    with Image.open(clip) as film:
        chosen = [round(7 * i / (lens.frames - 1)) for i in range(lens.frames)]
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
    pixels = lens.processor([frames[i] for i in chosen], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        found = lens.module(pixels, output_hidden_states=True).hidden_states[-1][0]
    shown = found[[0, *range(1, len(found), lens.frames)]] if lens.divided else found
    np.testing.assert_allclose(trace.hidden_states["encoder"][-1], shown, atol=1e-5)
    still = lens.trace(frames[0])
    assert np.abs(still.hidden_states["encoder"][-1] - shown.numpy()).max() > 1e-3
    assert ("clip_sampled", f"{lens.frames}/8") in trace.notes
    assert ("still", str(lens.frames)) in still.notes
    assert ("still", str(lens.frames)) not in trace.notes
    assert trace.picture is not None
    assert (trace.picture.frames == 1) == (("clip_first", str(lens.frames)) in trace.notes)
    with pytest.raises(InputError, match="no picture"):
        lens.trace(clip.read_bytes()[:300])


def test_the_bar_offers_clips_to_a_video_model(tmp_path: Path) -> None:
    build("videomae", tmp_path)
    opens_at = ("encoder", 1, 0)
    entry = Entry("Video", "encoder", 1, "MIT", "tests", opens_at, folder=tmp_path, takes="image", clips=True)
    with offering("made_video", entry, None, "video") as app:
        assert not app.exception
        (pills,) = (one for one in app.get("button_group") if one.key == "picture")
        assert pills.options[:2] == [say("pictures.clip_one"), say("pictures.clip_two")]
        assert len(pills.options) == 2 + len(PICTURES)
        trace = app.session_state["ran"][0][-1]
        assert trace.text.endswith("clip_one.gif")
        assert ("clip_sampled", "4/8") in trace.notes


def test_of_a_short_clip_frames_are_repeated() -> None:
    frames, notes = read_colour_clip("assets/clips/clip_one.gif", 16)
    assert len(frames) == 16
    assert frames[0].mode == "RGB"
    assert notes == (("clip_repeated", "8/16"),)


def test_the_check_sees_a_wrong_class_score_and_a_broken_weight(opened: dict[str, VisionModel]) -> None:
    lens = opened["vit"]
    trace = lens.trace(PICTURES[0])
    for parameter in (lens.module.classifier.bias, lens.module.vit.layers[1].attention.q_proj.weight.view(-1)):
        before = parameter.data[-1].clone()
        parameter.data[-1] += 1  # the last class: a check that looks at the first few only would miss it
        try:
            assert not trace.run_check(trace).ok
        finally:
            parameter.data[-1] = before


def test_adapters_and_quantised_weights_of_a_model_of_pictures(tmp_path: Path) -> None:
    build("vit", tmp_path)
    own = dict(model.load(str(tmp_path), device="cpu").module.named_parameters())
    name = next(name for name in own if re.search(r"\.0\..*(query|q_proj)\.weight", name))
    place = f"base_model.model.{name.removesuffix('.weight')}"
    matrices = {f"{place}.lora_A.weight": torch.ones(2, 32), f"{place}.lora_B.weight": torch.ones(32, 2)}
    save_file(matrices, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 2}')
    lens = model.load(str(tmp_path), device="cpu")
    np.testing.assert_allclose((dict(lens.module.named_parameters())[name] - own[name]).detach(), 2.0, atol=1e-5)
    assert ("adapter", tmp_path.name) in lens.trace(PICTURES[0]).notes
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "gptq", "bits": 4}})
    )
    with pytest.raises(ModelError, match=r"quantised \(gptq\)"):
        model.load(str(tmp_path), device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_and_eight_threads_change_nothing(opened: dict[str, VisionModel], family: str) -> None:
    lens = opened[family]

    def last(given: Path | bytes) -> np.ndarray:
        return lens.trace(given).attentions["encoder"].weights(1)

    given = [*PICTURES, *(path.read_bytes() for path in PICTURES), *PICTURES[:2]]
    alone = [last(one) for one in given]
    assert not np.allclose(alone[0], alone[1])
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(last, given))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    for row, trace in enumerate(lens.trace_batch(PICTURES, [None] * len(PICTURES))):
        assert trace.verify().ok
        np.testing.assert_allclose(trace.attentions["encoder"].weights(1), alone[row], atol=1e-5)


def test_what_is_shown_is_what_the_model_saw(opened: dict[str, VisionModel]) -> None:
    wide = Image.new("RGB", (56, 28), "red")
    wide.paste("blue", (14, 0, 42, 28))
    seen = opened["dinov2"].trace(wide).picture
    assert seen is not None
    assert (seen.pixels == [0, 0, 255]).all(-1).mean() > 0.9  # the middle was cut out, the red ends are gone
    assert opened["vit"].trace(wide).picture.pixels[:, 0].tolist() == [[255, 0, 0]] * 24  # type: ignore[union-attr]


def test_a_learned_table_of_patches_is_shown(opened: dict[str, VisionModel]) -> None:
    scheme = opened["vit"].positions()
    assert scheme.kind == "learned"
    assert scheme.table is not None
    assert scheme.table.shape == (10, 32)
    own = next(part for name, part in opened["vit"].module.named_parameters() if name.endswith("position_embeddings"))
    np.testing.assert_allclose(scheme.table, own[0].detach().numpy(), atol=1e-5 * np.abs(scheme.table).max() + 1e-6)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


PLAIN = Image.new("RGB", (64, 48), "orange")
NOISY = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "picture_none"),
        (b"no picture at all", "picture_none"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "picture_none"),
        (saved(NOISY, "PNG")[:-200], "picture_broken"),
        (saved(NOISY, "JPEG")[:400], "picture_broken"),
        (saved(Image.new("RGB", (1, 1)), "PNG"), "picture_shape"),
        (saved(Image.new("RGB", (400, 9)), "PNG"), "picture_shape"),
        (saved(Image.new("1", (7000, 7000)), "PNG"), "picture_large"),
        (saved(Image.new("1", (20000, 20000)), "PNG"), "picture_large"),
        (bytes(20_000_001), "picture_heavy"),
        ("no/such/picture.png", "picture_missing"),
        ("no\x00such", "picture_missing"),
    ],
)
def test_a_bad_picture_gets_a_sentence(given: bytes | str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        read_picture(given)
    assert caught.value.reason == reason
    assert "{" not in say(f"errors.{reason}", **caught.value.values)


def test_unusual_pictures_are_read_and_what_was_changed_is_said() -> None:
    frames = [PLAIN, Image.new("RGB", (64, 48), "blue")]
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    grey = Image.fromarray(np.full((16, 16), 40_000, np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6  # a camera held upright
    cases = [
        (saved(PLAIN, "GIF", save_all=True, append_images=frames[1:]), ["picture_animated"], None),
        (saved(PLAIN.convert("CMYK"), "JPEG"), ["picture_cmyk"], None),
        (saved(clear, "PNG"), ["picture_alpha"], (255, 255, 255)),
        (saved(Image.new("P", (16, 16)), "PNG", transparency=0), ["picture_alpha"], (255, 255, 255)),
        (saved(grey, "PNG"), [], (156, 156, 156)),
        (saved(Image.new("L", (16, 16), 90), "PNG"), [], (90, 90, 90)),
    ]
    for content, expected, colour in cases:
        picture, notes = read_picture(content)
        assert picture.mode == "RGB"
        assert [note for note, _ in notes] == expected
        assert all(say(f"notes.{note}", detail=detail) for note, detail in notes)
        assert colour is None or picture.getpixel((3, 3)) == colour
    assert read_picture(saved(PLAIN, "JPEG", exif=turned))[0].size == (48, 64)


def test_overlay_puts_each_weight_on_its_patch() -> None:
    picture = Picture(np.zeros((16, 24, 3), np.uint8), rows=2, columns=3, first=1)
    weights = np.array([0.4, 0, 0.1, 0.2, 0.05, 0.15, 0.1], np.float32)
    figure = patch_overlay(picture, weights, 5, "1,1", LIGHT)
    np.testing.assert_array_equal(figure.data[0].z, weights[1:].reshape(2, 3))
    assert figure.data[0].zmax == pytest.approx(0.2)
    assert np.asarray(figure.data[0].customdata)[1, 2].tolist() == [1, 2]
    box = figure.layout.shapes[0]
    assert (box.x0, box.x1, box.y0, box.y1) == (0.5, 1.5, 0.5, 1.5)
    assert not patch_overlay(picture, weights, 0, "[CLS]", LIGHT).layout.shapes
    with pytest.raises(ValueError, match="6"):
        patch_overlay(picture, weights[:-1], 0, "[CLS]", LIGHT)


def test_takes_is_read_off_the_folder(tmp_path: Path) -> None:
    assert store.input_kind(tmp_path) == "text"
    (tmp_path / "preprocessor_config.json").write_text('{"feature_size": 1, "sampling_rate": 16000}')
    assert store.input_kind(tmp_path) == "text"
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    assert store.input_kind(tmp_path) == "image"
    (tmp_path / "tokenizer.json").write_text("{}")
    assert store.input_kind(tmp_path) == "text"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AppTest:
    """The app, not yet run, with a model in its list that reads pictures."""
    build("vit", tmp_path)
    entry = Entry("made", "encoder", 0, "", "", ("encoder", 0, 0), folder=tmp_path, takes="image")
    monkeypatch.setitem(CATALOG, "made", entry)
    server_state.drop_all()
    return AppTest.from_file(str(Path("app.py").resolve()), default_timeout=120)


def test_every_page_opens_for_a_picture(app: AppTest) -> None:
    app.run().selectbox(key="model").set_value("made").run()
    assert not app.text_area
    for page in ("inside", "masks", "positions", "layers", "heads"):
        app.switch_page(f"viz/pages/{page}.py").run()
        assert not app.exception, page
        assert not app.error, page
        assert not app.warning, page
    assert say("pictures.overlay_title", token="0,0") in titles(app)
    app.file_uploader[0].upload("odd.gif", b"GIF89a", "image/gif").run()
    assert not app.exception
    assert [warning.value for warning in app.warning] == [say("errors.picture_none")]
    app.file_uploader[0].upload("mine.png", saved(PLAIN, "PNG"), "image/png").run()
    app.session_state["badge_page"] = True  # what it says is drawn once it is open
    app.run()
    assert not app.exception
    assert not app.warning
    assert any("lens.trace('mine.png')" in code.value for code in app.code)
    app.selectbox(key="model").set_value("en-fr").run()
    assert app.text_area(key="text").value


def test_no_word_is_offered_to_hide_where_there_is_a_picture(app: AppTest) -> None:
    app.run().selectbox(key="model").set_value("made").run()
    app.switch_page("viz/pages/output.py").run()
    assert not app.exception
    assert say("output.no_guess") in [one.value for one in app.info]
    assert say("output.guess_why") not in [one.value for one in app.markdown]


def test_a_folder_with_a_vision_model_gets_a_picture_too(app: AppTest, tmp_path: Path) -> None:
    app.query_params["model"] = str(tmp_path)
    go_to(app, "heads")
    assert not app.exception
    assert not app.text_area
    assert app.file_uploader
    assert say("pictures.overlay_title", token="0,0") in titles(app)


def test_boxes_of_a_model_that_looks_over_time_and_across_a_frame(tmp_path: Path) -> None:
    """Its parts see the stream in other orders, without the token for the clip and with a copy of it in each frame."""
    build("timesformer", tmp_path, random=True)
    lens = model.load(str(tmp_path), device="cpu")
    trace = lens.trace(PICTURES[0])
    stack, states = trace.blocks("encoder"), trace.hidden_states["encoder"]
    assert stack.explained
    assert stack.error < 1e-5
    np.testing.assert_allclose(stack.states, states, rtol=1e-5, atol=1e-4)
    for number, layer in enumerate(stack.layers):
        assert [block.kind for block in layer] == ["time_attention", "space_attention", "feed_forward"]
        assert [block.norm for block in layer] == ["before"] * 3
        assert [block.reads for block in layer] == [0, 1, 2]
        assert [block.attention for block in layer] == [None, ("encoder", number), None]
        time, space, _ = layer
        assert not time.adds[0].any()  # the token for the clip is in no frame
        assert all(np.abs(block.adds[1:]).max() > 1e-3 for block in (time, space))
        for left_out in ((space,), (time,)):  # one forgotten, and both swapped
            without = StackLayer(tuple(block for block in layer if block not in left_out))
            layers = (*stack.layers[:number], without, *stack.layers[number + 1 :])
            assert replace(stack, layers=layers).error > 1e-3
    assert stack.positions is not None
    scheme = lens.module.embeddings
    added = scheme.position_embeddings[0, 1:] + scheme.time_embeddings[0, 0]
    np.testing.assert_allclose(stack.positions[1:], added.detach().numpy(), atol=1e-4)
    edits = Edits(blocks={("encoder", 1, "time_attention")})
    edited = lens.trace(PICTURES[0], edits=edits)
    assert not edited.blocks("encoder").layers[1].blocks[0].adds.any()
    assert edited.verify().ok
    assert np.abs(edited.hidden_states["encoder"][2] - states[2]).max() > 1e-3


@pytest.mark.parametrize("family", ["vit", "dinov2"])
def test_what_is_added_to_patches_for_their_places_is_measured(family: str, tmp_path: Path) -> None:
    build(family, tmp_path, random=True)
    lens = model.load(str(tmp_path), device="cpu")
    stack, behind = lens.trace(PICTURES[0]).blocks("encoder"), len(FAMILIES[family][5])
    assert stack.error < 1e-5
    assert stack.positions is not None
    assert not stack.positions[:behind].any()
    (table,) = (one for name, one in lens.module.named_parameters() if name.endswith("position_embeddings"))
    np.testing.assert_allclose(stack.positions[behind:], table[0, 1:].detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("family", ["vit", "dinov2"])
def test_a_model_of_pictures_loses_a_box(opened: dict[str, VisionModel], family: str) -> None:
    lens = opened[family]
    plain, edits = lens.trace(PICTURES[0]), Edits(blocks={("encoder", 1, "feed_forward")})
    edited = lens.trace(PICTURES[0], edits=edits)
    assert not edited.blocks("encoder").layers[1].blocks[-1].adds.any()
    np.testing.assert_array_equal(edited.hidden_states["encoder"][1], plain.hidden_states["encoder"][1])
    assert edited.verify().ok
    assert not replace(plain, edits=edits, run_check=edited.run_check).verify().ok
