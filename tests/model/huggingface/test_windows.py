"""Models that attend within windows of patches and merge patches from stage to stage (Swin), one stage at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from streamlit.testing.v1 import AppTest
from torch import Tensor

import model
from model.catalog.entries import CATALOG, Entry
from model.catalog.permission import chosen_stage, without_part
from model.errors import ModelError
from model.huggingface.vision.vision_model import VisionModel
from model.trace.edits import Edits
from tests.app.driving import titles
from tests.model.huggingface.small_models import save
from viz.frame import server_state
from viz.language.messages import say

PICTURE = sorted(Path("assets/pictures").glob("*.png"))[0]
SIZE = {"image_size": 64, "patch_size": 4, "embed_dim": 16}
SIZES = {**SIZE, "depths": [2, 3], "num_heads": [2, 4], "window_size": 4}  # of 16 × 16 patches, then of 8 × 8
# family: (model class, configuration, whether queries, keys and values are shown)
FAMILIES = {
    "swin": ("SwinForImageClassification", "SwinConfig", True),
    "swinv2": ("Swinv2ForImageClassification", "Swinv2Config", False),
    "donut": ("DonutSwinModel", "DonutSwinConfig", False),
    "maskformer": ("MaskFormerSwinModel", "MaskFormerSwinConfig", False),
}
STAGES = [(family, stage) for family in FAMILIES for stage in (0, 1)]


def build(family: str, folder: Path) -> None:
    """Save a small random model of a family, whose windows are told apart by large biases of places."""
    name, config, _ = FAMILIES[family.split("#")[0]]
    torch.manual_seed(3)
    made = getattr(transformers, name)(getattr(transformers, config)(**SIZES))
    with torch.no_grad():
        for path, parameter in made.named_parameters():
            if "relative_position_bias_table" in path or path.endswith("continuous_position_bias_mlp.2.weight"):
                parameter.normal_()
    save(made, folder, transformers.ViTImageProcessorPil(size={"height": 64, "width": 64}))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for family in FAMILIES:
        found[family] = tmp_path_factory.mktemp(family)
        build(family, found[family])
    return found


@pytest.fixture(scope="module")
def opened(folders: dict[str, Path]) -> dict[tuple[str, int], VisionModel]:
    """Each stage of each family, through the public door."""
    return {(family, stage): model.load(f"{folders[family]}#stage{stage}", "cpu") for family, stage in STAGES}  # type: ignore[misc]


def windows(side: int, size: int, shift: int) -> Iterator[list[int]]:
    """The patches of each window, counted row by row: of a picture that is moved up and left, and comes in again."""
    for top in range(0, side, size):
        for left in range(0, side, size):
            yield [
                (top + row + shift) % side * side + (left + column + shift) % side
                for row in range(size)
                for column in range(size)
            ]


def library_maps(folder: Path, family: str, stage: int, pixels: Tensor) -> tuple[list[Tensor], Any]:
    """Maps of patch × patch of each layer of a stage, from the library's own run, and its output."""
    module = getattr(transformers, FAMILIES[family][0]).from_pretrained(folder, attn_implementation="eager").eval()
    found: list[Tensor] = []
    layers = next(part for path, part in module.named_modules() if path.endswith(f"layers.{stage}")).blocks
    for layer in layers:
        layer.register_forward_hook(lambda _, __, output: found.append(output[1]))
    with torch.inference_mode():
        result = module(pixel_values=pixels, output_attentions=True, output_hidden_states=True)
    side, maps = (16, 8)[stage], []
    for number, weights in enumerate(found):  # [window, head, place, place]
        whole = torch.zeros(weights.shape[1], side * side, side * side)
        for window, patches in enumerate(windows(side, 4, 2 * (number % 2))):
            for place, patch in enumerate(patches):
                whole[:, patch, patches] = weights[window, :, place]
        maps.append(whole)
    return maps, result


@pytest.mark.parametrize(("family", "stage"), STAGES)
def test_windows_are_unfolded_into_maps_of_all_patches(
    opened: dict[tuple[str, int], VisionModel], folders: dict[str, Path], family: str, stage: int
) -> None:
    lens, side, depth = opened[family, stage], (16, 8)[stage], SIZES["depths"][stage]  # type: ignore[index]
    trace = lens.trace(PICTURE)
    attention = trace.attentions["encoder"]
    expected, result = library_maps(
        folders[family], family, stage, lens._inputs([PICTURE], [None], None)[0]["pixel_values"]
    )
    assert attention.num_layers == len(expected) == depth
    for layer, own in enumerate(expected):
        np.testing.assert_allclose(attention.weights(layer), own.numpy(), atol=1e-5)
        assert (attention.mask(layer).sum(-1) <= 16).all()  # a window has 4 × 4 patches
        if lens.uses_interface:  # at the edge moved windows are cut
            assert (attention.mask(layer).sum(-1) < 16).any() == (layer % 2 == 1)
    assert trace.hidden_states["encoder"].shape == (depth + 1, side * side, 16 * (stage + 1))
    assert trace.tokens["encoder"].texts == tuple(f"{row},{column}" for row in range(side) for column in range(side))
    assert trace.picture is not None
    assert (trace.picture.rows, trace.picture.columns) == (side, side)
    if trace.logits is not None:
        np.testing.assert_allclose(trace.logits[0], result.logits[0].numpy(), atol=1e-5)
    assert lens.uses_interface == FAMILIES[family][2]
    assert dict(trace.neurons)
    assert trace.verify().ok, trace.verify()
    stack = trace.blocks("encoder")
    assert stack.error < 1e-5
    assert [block.kind for block in stack.layers[1].blocks] == ["attention", "feed_forward"]


@pytest.mark.parametrize("stage", [0, 1])
def test_changes_reach_the_pairs_of_patches_that_they_name(
    opened: dict[tuple[str, int], VisionModel], stage: int
) -> None:
    lens = opened["swin", stage]
    plain = lens.trace(PICTURE)
    seen = int(plain.attentions["encoder"].mask(1)[0].nonzero()[0][-1])
    for edits in (
        Edits(heads={("encoder", 1, 1): 0.0}),
        Edits(temperature={"encoder": 2.0}),
        Edits(blocked={("encoder", 0, seen)}),
    ):
        changed = lens.trace(PICTURE, edits=edits)
        assert changed.verify().ok, edits
        assert np.abs(changed.hidden_states["encoder"] - plain.hidden_states["encoder"]).max() > 1e-4
    assert not changed.attentions["encoder"].mask(1)[0, seen]


def test_a_stage_is_chosen_by_what_follows_the_name(folders: dict[str, Path]) -> None:
    assert without_part("owner/name#stage2") == without_part("owner/name#image") == "owner/name"
    assert (chosen_stage("owner/name#stage2"), chosen_stage("owner/name"), chosen_stage("n#image")) == (2, None, None)
    lens = model.load(str(folders["swin"]), "cpu")
    assert lens.choices.stage == 1  # the one with most layers
    assert lens.choices.stages == ("16 × 16", "8 × 8")
    with pytest.raises(ModelError, match="it has the stages 0 to 1"):
        model.load(f"{folders['swin']}#stage2", "cpu")


def test_a_stage_too_large_is_not_offered_and_refused_by_its_size(tmp_path: Path) -> None:
    config = transformers.SwinConfig(**{**SIZES, "image_size": 192, "window_size": 6})  # 48 × 48 patches, then 24 × 24
    processor = transformers.ViTImageProcessorPil(size={"height": 192, "width": 192})
    save(transformers.SwinModel(config), tmp_path, processor)
    assert model.load(str(tmp_path), "cpu").choices.stages == ("", "24 × 24")
    with pytest.raises(ModelError, match="its stage 0 has 2,304 patches; Headlight draws at most 2,048"):
        model.load(f"{tmp_path}#stage0", "cpu")


def test_every_page_shows_a_stage_and_the_bar_chooses_another(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry("made", "encoder", 0, "", "", ("encoder", 0, 0), folder=folders["swin"], takes="image")
    monkeypatch.setitem(CATALOG, "made", entry)
    server_state.drop_all()
    app = AppTest.from_file(str(Path("app.py").resolve()), default_timeout=120)
    app.run().selectbox(key="model").set_value("made").run()
    for page in ("inside", "masks", "positions", "layers", "output", "changes", "compare", "whole", "heads"):
        app.switch_page(f"viz/pages/{page}.py").run()
        assert not app.exception, page
        assert not app.error, page
    chooser = next(one for one in app.segmented_control if one.key == "stage")
    assert chooser.options == [say("input.stage_name", number=i, patches=("16 × 16", "8 × 8")[i]) for i in (0, 1)]
    assert chooser.value == 1
    chooser.set_value(0).run()
    assert not app.exception
    assert app.query_params["model"] == "made#stage0"
    assert next(one for one in app.segmented_control if one.key == "stage").value == 0
    assert any(say("pictures.overlay_title", token=token) in titles(app) for token in ("0,0", "0,1"))
