"""What is drawn of a layer's maps is the same wherever it is worked out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import model
from model.attention import recorded_call
from model.attention.recorded_call import RecordedCall
from model.maps.layer_maps import LayerSlice
from model.maps.pooling import SMALL_CELLS, largest_cells
from model.maps.words import merge_words, word_pieces
from model.measures import similarity
from model.memory.cached_layers import with_cached_layers
from model.memory.result_cache import ResultCache
from model.remote.messages import PROTOCOL_VERSION, STATUS_OK, pack, unpack
from model.remote.remote_layer import RemoteLayer
from model.remote.request_handler import RequestHandler
from model.trace.attention import Attention
from model.trace.edits import Edits
from model.trace.recorded_layer import RecordedLayer
from model.trace.trace import Trace
from model.translator.translator import Translator
from tests.model.huggingface.test_families import build

TEXT = "The dog sees the cat, and the cat that the dog sees is on the table near the old house of my friend. "


@pytest.fixture(params=["here", "in blocks", "two at once", "as on a GPU"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How the maps of a layer are worked out; any device can take each way."""
    if request.param == "as on a GPU":
        monkeypatch.setattr(RecordedCall, "_on_cpu", False)
    elif request.param == "in blocks":
        monkeypatch.setattr(recorded_call, "BLOCK_CELLS", 1)
        monkeypatch.setattr(recorded_call, "MIN_BLOCK_QUERIES", 20)
    elif request.param == "two at once":
        monkeypatch.setattr(recorded_call, "PARALLEL_CELLS", 1)


@pytest.fixture(scope="module")
def long(lens: Translator) -> Trace:
    return lens.trace(TEXT * 5, TEXT * 4)


def same(call: RecordedLayer, attention: Attention, layer: int) -> None:
    """All looks at a layer against looks at all of its weights."""
    whole, allowed = attention.weights(layer), attention.mask(layer)
    queries, keys = range(3, whole.shape[1], 2), [*range(5), *range(9, whole.shape[2] - 1)]
    for head in (None, 2):
        heads = whole if head is None else whole[2:3]
        expected = np.where(allowed, heads, np.nan)[:, queries][:, :, keys]
        exact = call.pooled(head, queries, keys, expected.shape[1:])
        np.testing.assert_allclose(exact, expected, atol=1e-6)
        small = call.pooled(head, queries, keys, (7, 5))
        assert small.shape == (len(heads), 7, 5)
        assert small.dtype == np.float32
        for row in range(7):
            for column in range(5):
                top, bottom = (row * len(queries) // 7, (row + 1) * len(queries) // 7)
                left, right = (column * len(keys) // 5, (column + 1) * len(keys) // 5)
                group = expected[:, top:bottom, left:right].reshape(len(heads), -1)
                wanted = [one[~np.isnan(one)].max(initial=-1) for one in group]
                found = np.nan_to_num(small[:, row, column], nan=-1)
                np.testing.assert_allclose(found, wanted, atol=1e-6)
    rows, columns, weights = call.strongest(1, queries, keys, 20)
    part = whole[1][np.ix_(queries, keys)]
    np.testing.assert_allclose(part[rows, columns], weights, atol=1e-6)
    np.testing.assert_allclose(np.sort(weights), np.sort(part, axis=None)[-20:], atol=1e-6)
    assert (np.diff(rows * len(keys) + columns) > 0).all()
    seen = call.overview(10)
    assert seen.maps.shape == (len(whole), 10, 10)
    np.testing.assert_allclose(seen.strongest, whole.max(axis=(1, 2)), atol=1e-6)
    at_place = whole.reshape(len(whole), -1)[np.arange(len(whole)), seen.strongest_cell]
    np.testing.assert_allclose(at_place, seen.strongest, atol=1e-6)
    bits = -np.where(whole > 0, whole * np.log2(np.maximum(whole, 1e-38)), 0).sum(-1).mean(-1)
    np.testing.assert_allclose(seen.entropy, bits, atol=1e-4)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_parts_of_a_large_layer_are_parts_of_its_weights(long: Trace, kind: str) -> None:
    attention = long.attentions[kind]
    call = attention.layers[1]
    assert isinstance(call, RecordedCall)
    same(call, attention, 1)


@pytest.mark.parametrize("count", [3, 40, 300])
def test_the_largest_weights_are_as_sorting_all_finds_them(count: int) -> None:
    rng = np.random.default_rng(0)
    for shape in ((50, 7), (7, 50), (1, 1), (0, 4), (60, 0)):
        values = rng.integers(0, 50, shape).astype(np.float32)  # many are equal
        rows, columns, found = largest_cells(values, count)
        assert len(found) == min(count, values.size)
        np.testing.assert_array_equal(values[rows, columns], found)
        np.testing.assert_array_equal(np.sort(found), np.sort(values, axis=None)[-count:])
        assert (np.diff(rows * shape[1] + columns) > 0).all()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("side", [10, 1000])
def test_layers_computed_in_the_same_memory_leave_nothing_of_each_other(long: Trace, side: int) -> None:
    for attention in long.attentions.values():
        for layer, seen in zip(attention.layers, attention.overviews(side), strict=True):
            for name, found in vars(layer.overview(side)).items():
                np.testing.assert_array_equal(getattr(seen, name), found)


@pytest.mark.usefixtures("way")
def test_keys_that_several_heads_share_too(tmp_path: Path) -> None:
    build("llama", tmp_path)
    attention = model.load(str(tmp_path), "cpu").trace(TEXT).attentions["decoder"]
    call = attention.layers[1]
    assert isinstance(call, RecordedCall)
    assert len(call.key) < len(call.query)
    same(call, attention, 1)


@pytest.mark.usefixtures("way")
def test_with_biases_and_forced_weights_too(tmp_path: Path) -> None:
    build("t5", tmp_path)
    edits = Edits(uniform={("encoder", 1, 1)})
    trace = model.load(str(tmp_path), "cpu").trace(TEXT, TEXT, edits)
    attention = trace.attentions["encoder"]
    call = attention.layers[1]
    assert isinstance(call, RecordedCall)
    assert call.bias is not None
    assert 1 in call.forced
    same(call, attention, 1)


def test_of_a_large_layer_only_what_was_drawn_is_kept(long: Trace) -> None:
    kept = ResultCache(10_000_000)
    attention = with_cached_layers(long, kept).attentions["cross"]
    heads, queries, keys, _ = attention.layers[1].shape
    assert heads * queries * keys > SMALL_CELLS
    everywhere = range(queries), range(keys)
    first = attention.pooled(1, 2, *everywhere, (20, 30))
    assert kept.bytes == first.nbytes == 4 * 20 * 30
    assert np.shares_memory(attention.pooled(1, 2, *everywhere, (20, 30)), first)
    assert not np.shares_memory(attention.pooled(1, 3, *everywhere, (20, 30)), first)
    np.testing.assert_array_equal(first, long.attentions["cross"].pooled(1, 2, *everywhere, (20, 30)))
    assert len(attention.strongest(1, 2, *everywhere, 7)[0]) == 7
    before = kept.bytes
    attention.overviews(56)
    assert kept.bytes == before < 10_000
    np.testing.assert_allclose(attention.row(1, 4), attention.weights(1)[:, 4], atol=1e-6)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_words_are_looked_at_as_their_pieces_are(long: Trace, kind: str) -> None:
    attention = long.attentions[kind]
    merged = merge_words(attention)
    assert len(merged.queries) < len(attention.queries)
    same(merged.layers[1], merged, 1)
    queries, keys = word_pieces(attention.queries), word_pieces(attention.keys)
    weights, allowed = attention.weights(1)[3], attention.mask(1)  # of a long text: computed once, not for each pair
    by_hand = [[weights[q][:, k].sum(-1).mean() for k in map(list, keys)] for q in map(list, queries)]
    np.testing.assert_allclose(merged.weights(1)[3], by_hand, atol=1e-6)
    seen = np.array([[allowed[q][:, k].any() for k in map(list, keys)] for q in map(list, queries)])
    np.testing.assert_array_equal(merged.mask(1), seen)
    with pytest.raises(ValueError, match="no query of their own"):
        merged.query(1)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_a_part_of_a_layer_is_a_layer(long: Trace, kind: str) -> None:
    attention = long.attentions[kind]
    whole, queries = attention.layers[1], [2, 3, 8]
    for layer in (
        whole,
        with_cached_layers(long, ResultCache(0)).attentions[kind].layers[1],
        LayerSlice(whole, range(8), range(20)),
    ):
        part = layer.select(range(3, 5), queries)
        assert part.shape == (2, 3, *whole.shape[2:])
        assert part.scale == whole.scale
        np.testing.assert_allclose(part.weights(), whole.weights()[3:5, queries], atol=1e-6)
        for masked in (True, False):
            np.testing.assert_allclose(part.scores(masked), whole.scores(masked)[3:5, queries], atol=1e-5)
        for name in ("query", "bias"):
            np.testing.assert_array_equal(part.array(name), whole.array(name)[3:5, queries])
        for name in ("key", "value"):
            np.testing.assert_array_equal(part.array(name), whole.array(name)[3:5])
        np.testing.assert_array_equal(part.array("allowed"), whole.array("allowed")[queries])
    words = merge_words(attention)
    np.testing.assert_allclose(
        words.layers[1].select(range(3, 5), queries).weights(), words.weights(1)[3:5, queries], atol=1e-6
    )


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("step", [1, 3])
def test_all_heads_are_compared_where_their_maps_are(long: Trace, step: int) -> None:
    pieces = long.attentions["decoder"]
    for attention in (pieces, merge_words(pieces), with_cached_layers(long, ResultCache(0)).attentions["decoder"]):
        weights = np.stack([attention.weights(layer) for layer in range(attention.num_layers)])[:, :, ::step]
        alike = 1 - similarity.jensen_shannon(weights.astype(np.float64), weights[1, 5].astype(np.float64)).mean(-1)
        np.testing.assert_allclose(similarity.head_similarity(attention, 1, 5, step), alike, atol=1e-6)
        flat = np.sqrt(weights).reshape(attention.num_layers * attention.num_heads, -1).astype(np.float64)
        flat -= flat.mean(axis=0)
        np.testing.assert_allclose(attention.across_layers("head_inner_products", step), flat @ flat.T, atol=1e-3)
    mixed = [(pieces.weights(layer).mean(axis=0) + np.eye(len(pieces.queries))) / 2 for layer in range(3)]
    np.testing.assert_allclose(pieces.across_layers("attention_with_residual", 1), mixed[1], atol=1e-6)
    np.testing.assert_allclose(pieces.across_layers("rollout", 2, 7), (mixed[2] @ mixed[1] @ mixed[0])[7], atol=1e-6)


def test_only_what_is_drawn_of_a_large_layer_is_fetched(long: Trace) -> None:
    handler, sent = RequestHandler("cpu"), []

    def ask(want: str, **more: object) -> tuple[dict[str, object], dict[str, np.ndarray]]:
        run = {"texts": [long.text], "targets": [[*long.ids["decoder"][1:]]], "edits": "", "row": 0}
        asked = {"wire": PROTOCOL_VERSION, "model": "en-fr", "want": want, "kind": "cross", "layer": 1}
        status, reply = handler.handle(pack(asked | run | more))
        assert status == STATUS_OK
        sent.append(len(reply))
        return unpack(reply)

    layer = long.attentions["cross"].layers[1]
    far = RemoteLayer(ask, layer.shape, layer.scale)
    everywhere = range(layer.shape[1]), range(layer.shape[2])
    for head in (None, 3):
        np.testing.assert_array_equal(
            far.pooled(head, *everywhere, (40, 50)), layer.pooled(head, *everywhere, (40, 50))
        )
    for one, other in zip(far.strongest(3, *everywhere, 9), layer.strongest(3, *everywhere, 9), strict=True):
        np.testing.assert_array_equal(one, other)
    for name, found in vars(far.overview(20)).items():
        np.testing.assert_array_equal(found, getattr(layer.overview(20), name))
    assert sum(sent) < 9 * 4 * 40 * 50 + 8 * 4 * 20 * 20 + 4_000 < layer.weights().nbytes / 4
    sent.clear()
    words = [word_pieces(tokens) for tokens in (long.attentions["cross"].queries, long.attentions["cross"].keys)]
    there, here = far.merged_into_words(*words), layer.merged_into_words(*words)
    assert there.shape == here.shape
    for head in (None, 3):
        shape = (len(words[0]) // 3, len(words[1]) // 3)
        drawn = [one.pooled(head, range(len(words[0])), range(len(words[1])), shape) for one in (there, here)]
        np.testing.assert_array_equal(*drawn)
    np.testing.assert_array_equal(there.select(range(1), [4]).weights(), here.select(range(1), [4]).weights())
    part = far.select(range(2, 3), [4])
    np.testing.assert_array_equal(part.scores(), layer.select(range(2, 3), [4]).scores())
    assert sum(sent) < 9 * 4 * shape[0] * shape[1] + 4 * 2 * layer.shape[2] + 2_000
    sent.clear()
    for what, where in (("head_similarity", (1, 2, 1)), ("head_inner_products", (2,))):
        found = layer.across_layers(what, long.attentions["cross"].layers, *where)
        np.testing.assert_allclose(far.across_layers(what, [], *where), found, atol=1e-4)
    assert sum(sent) < 4 * (24 + 24 * 24) + 2_000


def test_maps_that_were_computed_elsewhere_are_an_attention(lens: Translator) -> None:
    own = lens.trace("The cat saw the cat.").attentions["cross"]
    weights = np.stack([own.weights(layer) for layer in range(own.num_layers)])
    given = model.Attention.from_arrays(weights, own.query_tokens, own.key_tokens, "cross")
    assert (given.kind, given.num_layers, given.num_heads) == ("cross", own.num_layers, own.num_heads)
    assert given.query_tokens == own.query_tokens
    assert not given.has_vectors
    np.testing.assert_array_equal(given.weights(1), weights[1])
    np.testing.assert_array_equal(given.pooled(1, 2, [0, 1], [2]), own.pooled(1, 2, [0, 1], [2]))
    for one, other in zip(given.overviews(3), own.overviews(3), strict=True):
        np.testing.assert_allclose(one.maps, other.maps, atol=1e-6)
        np.testing.assert_allclose(one.entropy, other.entropy, atol=1e-5)
    weights[0] = 0  # what is changed afterwards is not its weights
    assert given.weights(0).sum() > 0
    masked = model.Attention.from_arrays(np.eye(3)[None, None], ["a", "b", "a"])
    np.testing.assert_array_equal(masked.mask(0), np.eye(3, dtype=bool))
    assert masked.keys is masked.queries


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.full((1, 2, 3, 3), 1 / 3)[0], r"\(2, 3, 3\)"),
        (np.full((1, 2, 3, 4), 1 / 4), r"\(1, 2, 3, 4\)"),
        (np.full((1, 0, 3, 3), 1 / 3), r"\(1, 0, 3, 3\)"),
        (np.full((1, 2, 3, 3), 1 / 4), "off by 0.25"),
        (np.full((1, 2, 3, 3), np.nan), "nan"),
        (np.array([[[[2.0, -1, 0]] * 3]]), "at least -1"),
    ],
    ids=["three axes", "another key", "no heads", "sums", "nan", "negative"],
)
def test_arrays_that_are_no_attention_are_refused(weights: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        model.Attention.from_arrays(weights, ["a", "b", "c"])
