"""On a GPU: the CPU's numbers within what the badge states, and of large maps only what is drawn leaves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import model
from model.arrays import torch_to_numpy
from model.attention import recorded_call
from model.maps import across_layers_torch, pooling_torch, words_torch
from model.maps.pooling import is_small
from model.maps.words import merge_words
from model.measures import similarity
from model.trace.edits import Edits
from model.translator.translator import Translator
from tests.model.huggingface.test_families import FAMILIES, TARGET, TEXT, build
from viz.figures.cell_pooling import MAX_CELLS
from viz.figures.heads import THUMBNAIL_PIXELS, head_heatmap, head_thumbnails
from viz.figures.lines import MAX_LINES, token_lines
from viz.figures.theme import LIGHT
from viz.sections.heads import head_view

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
PLACES = ["cuda", "cuda, bfloat16", "cuda, float16"]
LONG = "The dog sees the cat, and the cat that the dog sees is on the table near the old house of my friend. " * 12


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("edits", [None, Edits(heads={("cross", 0, 3): 0.0}, uniform={("encoder", 1, 2)})])
def test_the_translator_gives_the_numbers_of_the_cpu(lens: Translator, place: str, edits: Edits | None) -> None:
    text, target = "The red car stopped.", "La voiture rouge s'est arrêtée."
    trace, whole = model.load("en-fr", place).trace(text, target, edits), lens.trace(text, target, edits)
    check = trace.verify()
    assert check.ok
    assert trace.device.startswith("cuda")
    for kind, found in trace.attentions.items():
        for layer in range(found.num_layers):
            weights = found.weights(layer)
            np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
            np.testing.assert_allclose(weights, whole.attentions[kind].weights(layer), atol=check.tolerance)
            assert (weights[:, ~found.mask(layer)] == 0).all()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "t5", "bart", "mistral"])
def test_families_agree_with_the_library_and_with_the_cpu(family: str, place: str, tmp_path: Path) -> None:
    build(family, tmp_path)
    target = TARGET if "cross" in FAMILIES[family][-1] else ""
    trace, whole = (model.load(str(tmp_path), where).trace(TEXT, target) for where in (place, "cpu"))
    check = trace.verify()
    assert check.ok
    for kind, found in trace.attentions.items():
        ours, theirs = found.weights(0), whole.attentions[kind].weights(0)
        np.testing.assert_allclose(ours, theirs, atol=check.tolerance)


def test_of_large_maps_only_what_is_drawn_leaves_the_gpu(lens: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    trace, whole = model.load("en-fr", "cuda").trace(LONG, LONG), lens.trace(LONG, LONG)
    cross, same = trace.attentions["cross"], whole.attentions["cross"]
    assert not is_small(cross.layers[0].shape)
    expected = head_heatmap(same, 1, 2, LIGHT)
    known = same.overviews(THUMBNAIL_PIXELS)
    whole_decoder, decoder = whole.attentions["decoder"], trace.attentions["decoder"]
    between_words = head_heatmap(merge_words(same), 1, 2, LIGHT)
    likeness, products = similarity.head_similarity(same, 1, 2), same.across_layers("head_inner_products", 1)
    rollout = whole_decoder.across_layers("rollout", 2, 5)
    moved, right = [0], torch_to_numpy.to_numpy

    def counted(tensor: torch.Tensor) -> np.ndarray:
        array = right(tensor)
        moved[0] += array.nbytes
        return array

    for module in (torch_to_numpy, words_torch, recorded_call, pooling_torch, across_layers_torch):
        monkeypatch.setattr(module, "to_numpy", counted)

    def leaves() -> int:
        moved[0], found = 0, moved[0]
        return found

    drawn = head_heatmap(cross, 1, 2, LIGHT)
    np.testing.assert_allclose(drawn.data[0].z, expected.data[0].z, atol=1e-4)
    assert 0 < leaves() <= 4 * MAX_CELLS
    token_lines(cross, 1, 2, LIGHT)
    assert 0 < leaves() <= 20 * MAX_LINES
    head_view.message(cross, 1, LIGHT, True, None)
    assert 0 < leaves() <= 4 * MAX_CELLS * cross.num_heads
    assert len(head_thumbnails(cross, LIGHT).texts) == cross.num_layers * cross.num_heads
    assert 0 < leaves() <= cross.num_layers * cross.num_heads * (4 * THUMBNAIL_PIXELS**2 + 100)
    np.testing.assert_allclose(trace.logits[5], whole.logits[5], atol=1e-3)  # type: ignore[index]
    assert leaves() == 4 * trace.logits.shape[1]  # type: ignore[union-attr]
    for found, wanted in zip(cross.overviews(THUMBNAIL_PIXELS), known, strict=True):
        np.testing.assert_allclose(found.entropy, wanted.entropy, atol=1e-3)
        np.testing.assert_allclose(found.strongest, wanted.strongest, atol=1e-4)
    leaves()
    drawn = head_heatmap(merge_words(cross), 1, 2, LIGHT)
    np.testing.assert_allclose(drawn.data[0].z, between_words.data[0].z, atol=1e-4)
    assert 0 < leaves() <= 4 * MAX_CELLS
    np.testing.assert_allclose(similarity.head_similarity(cross, 1, 2), likeness, atol=1e-3)
    np.testing.assert_allclose(cross.across_layers("head_inner_products", 1), products, atol=1e-2)
    np.testing.assert_allclose(decoder.across_layers("rollout", 2, 5), rollout, atol=1e-4)
    heads = cross.num_layers * cross.num_heads
    assert leaves() == 4 * (heads + heads**2 + len(decoder.queries))
