"""Characters of made-up heads: found where planted, absent in even and random heads, each beside its baseline."""

from __future__ import annotations

import numpy as np
import pytest

from model.measures.heads.head_characters import (
    EVEN_SPLIT_SPREAD,
    MAX_TOKENS,
    Character,
    head_characters,
    published_aligners,
)
from model.trace.attention import Attention
from model.trace.tokens import Tokens
from model.translator.translator import Translator
from tests.model.measures.test_measures import Fixed

CAT = ("The", "cat", "saw", "the", "cat", "saw", "the", "dog", ".", "</s>")  # repeats "cat", "saw" and "the"
FRENCH = ("Le", "chat", "vit", "un", "autre", "voir", "son", "chien", ",", "</s>")
SPECIAL = (False,) * 9 + (True,)


def made(*heads: np.ndarray, kind: str = "encoder", layers: int = 1, keys: tuple[str, ...] = CAT) -> Attention:
    """An attention of CAT whose heads have these weights, shared out over the layers."""
    weights = np.stack(heads).astype(np.float32).reshape(layers, -1, *heads[0].shape)
    special = tuple(key in ("</s>", "[CLS]") for key in keys)
    sides = Tokens(CAT, SPECIAL), Tokens(keys, special)
    return Attention(kind, *sides, weights.shape[1], 1, tuple(Fixed(layer) for layer in weights))


def at(offset: int, size: int = 10, off: float = 1e-6) -> np.ndarray:
    weights = np.full((size, size), off) + np.roll(np.eye(size), offset, axis=1)
    return weights / weights.sum(-1, keepdims=True)


def named(attention: Attention, **options: object) -> dict[tuple[int, int], list[str]]:
    """Names of the characters of each head that has one."""
    found: dict[tuple[int, int], list[str]] = {}
    for one in head_characters(attention, **options):  # type: ignore[arg-type]
        for layer, head in np.argwhere(one.named).tolist():
            found.setdefault((layer, head), []).append(f"{one.name} {one.token}".strip())
    return found


def character(attention: Attention, name: str, **options: object) -> Character:
    return next(one for one in head_characters(attention, **options) if one.name == name)  # type: ignore[arg-type]


def test_planted_heads_are_named_and_even_and_random_ones_are_not() -> None:
    even = np.full((10, 10), 0.1)
    rest, first = np.full((10, 10), 1e-6), np.full((10, 10), 1e-6)
    rest[:, 9] = first[:, 0] = 1
    random = np.random.default_rng(3).dirichlet(np.ones(10), (40, 10))
    heads = [at(-1), at(0), at(1), rest, first, even, *random]
    found = named(made(*heads))
    assert found == {
        (0, 0): ["previous"],
        (0, 1): ["same"],
        (0, 2): ["next"],
        (0, 3): ["rests </s>"],
        (0, 4): ["first"],
        (0, 5): ["spreads"],
    }


def test_shares_and_baselines_of_an_even_head() -> None:
    attention = made(np.full((10, 10), 0.1))
    for name in ("previous", "same", "next", "first", "rests", "induction"):
        one = character(attention, name)
        assert one.share[0, 0] == pytest.approx(0.1), name
        assert one.baseline[0, 0] == pytest.approx(0.1), name
    spreads = character(attention, "spreads")
    assert spreads.share[0, 0] == pytest.approx(1)
    assert spreads.baseline[0, 0] == EVEN_SPLIT_SPREAD == pytest.approx(0.655, abs=1e-3)
    # The first token cannot be told from "first", nor the last from "</s>": 7 of 9 tokens show a neighbour.
    assert character(attention, "previous").queries[0, 0] == 7
    assert character(attention, "next").queries[0, 0] == 8


def test_a_random_head_spreads_as_the_baseline_says() -> None:
    # Exact as the number of keys grows: 1/n-th parts of a row that is broken at random.
    random = np.random.default_rng(0).dirichlet(np.ones(200), 400)
    effective = np.exp(-(random * np.log(random)).sum(-1)) / 200
    assert effective.mean() == pytest.approx(EVEN_SPLIT_SPREAD, abs=0.02)


def test_a_causal_baseline_counts_allowed_keys_only() -> None:
    even = np.tril(np.ones((10, 10))) / np.arange(1, 11)[:, None]
    one = character(made(even, kind="decoder"), "previous")
    allowed = np.arange(3, 10)  # keys of the queries 2 to 8; the last token is special
    assert one.baseline[0, 0] == pytest.approx((1 / allowed).mean())
    assert one.share[0, 0] == pytest.approx(one.baseline[0, 0])
    assert named(made(even, kind="decoder")) == {(0, 0): ["spreads"]}


def test_twice_the_baseline_is_needed_where_few_keys_are_allowed() -> None:
    narrow = np.zeros((10, 10))
    for query in range(10):
        narrow[query, [max(query - 1, 0), query]] += 0.5
    narrow[5, [4, 5]] = 0.3, 0.7
    same = character(made(narrow, kind="decoder"), "same")
    assert same.share[0, 0] > 0.5
    assert same.baseline[0, 0] == pytest.approx(0.5)
    assert not same.named.any()


def test_induction_needs_tokens_that_repeat_by_their_ids() -> None:
    planted = np.tril(np.full((10, 10), 1e-6)) + np.eye(10)
    for query, key in ((4, 2), (5, 3), (6, 4)):
        planted[query] = 1e-6
        planted[query, key] = 1
    attention = made(planted / planted.sum(-1, keepdims=True), at(0), kind="decoder")
    ids = (1, 2, 3, 4, 2, 3, 4, 7, 8, 9)
    one = character(attention, "induction", ids=ids)
    assert one.queries.tolist() == [[3, 3]]
    assert one.share[0].tolist() == pytest.approx([1, 0], abs=1e-4)
    assert one.named.tolist() == [[True, False]]
    assert "induction" not in {one.name for one in head_characters(attention, ids=range(10))}


def test_a_single_row_names_no_head() -> None:
    tokens = Tokens(("a", "b", "c"), (False,) * 3)
    attention = Attention("decoder", tokens, tokens, 1, 1, (Fixed(at(-1, 3)[None].astype(np.float32)),))
    assert character(attention, "previous").queries[0, 0] == 1
    assert named(attention) == {}


def test_two_special_tokens_count_each_and_together() -> None:
    keys = ("[CLS]", *CAT[1:])
    both = np.full((10, 10), 1e-6)
    both[:, [0, 9]] = 0.5 - 1e-5, 0.4
    both[:, 4] = 0.1
    assert named(made(both, keys=keys)) == {(0, 0): ["rests"]}
    one = next(one for one in head_characters(made(both, keys=keys)) if (one.name, one.token) == ("rests", ""))
    assert one.share[0, 0] == pytest.approx(0.9, abs=1e-3)
    assert one.baseline[0, 0] == pytest.approx(0.2)


def test_partners_are_named_by_other_heads_and_only_with_a_reference() -> None:
    # Row q predicts word q + 1, whose partner is key q + 1.
    predicted, fed, even = at(1), at(0), np.full((10, 10), 0.1)
    attention = made(predicted, predicted, fed, even, kind="cross", keys=FRENCH)
    aligners = ((0, 0), (0, 1))
    found = named(attention, aligners=aligners)
    assert found == {(0, 0): ["predicted"], (0, 1): ["predicted"], (0, 2): ["fed_in"], (0, 3): ["spreads"]}
    assert character(attention, "fed_in", aligners=aligners).baseline[0, 2] == pytest.approx(0.1)
    assert named(attention) == {(0, 3): ["spreads"]}
    # A head is no witness for itself: two references that disagree name neither.
    assert named(made(predicted, at(4), kind="cross", keys=FRENCH), aligners=aligners) == {}


def test_copying_heads_look_at_every_place_of_the_word_written_next_or_last() -> None:
    keys = ("dog", "saw", ".", "a", "cat", "saw", "bird", "fly", "red", "</s>")
    place = {"cat": [4], "saw": [1, 5], "dog": [0]}
    next_, last = np.full((10, 10), 1e-6), np.full((10, 10), 1e-6)
    for row, token in enumerate(CAT):
        for weights, right in ((next_, place.get(CAT[(row + 1) % 10])), (last, place.get(token))):
            weights[row, right or [9]] = 1
    heads = [one / one.sum(-1, keepdims=True) for one in (next_, last, np.full((10, 10), 0.1))]
    attention = made(*heads, kind="cross", keys=keys)
    # The full stop is no word; "cat saw" and "saw the" stand twice, the dog once.
    copies, copied = character(attention, "copies"), character(attention, "copied")
    assert copies.queries.tolist() == copied.queries.tolist() == [[5, 5, 5]]
    assert copies.share[0].tolist() == pytest.approx([1, 0, 0.14], abs=1e-3)
    assert copies.baseline[0, 0] == pytest.approx(0.14)  # five rows with 1, 2, 1, 2 and 1 of ten keys
    assert named(attention) == {(0, 0): ["copies"], (0, 1): ["copied"], (0, 2): ["spreads"]}
    assert named(made(*heads, kind="cross", keys=FRENCH)) == {(0, 2): ["spreads"]}  # nothing is copied


def test_long_texts_are_not_measured() -> None:
    tokens = Tokens(("a",) * (MAX_TOKENS + 1), (False,) * (MAX_TOKENS + 1))
    weights = np.eye(MAX_TOKENS + 1, dtype=np.float32)[None]
    assert head_characters(Attention("encoder", tokens, tokens, 1, 1, (Fixed(weights),))) == ()


def test_the_aligning_head_of_the_bundled_model(lens: Translator) -> None:
    aligners = published_aligners("en-fr")
    assert (2, 4) in aligners
    assert (0, 3) not in aligners
    assert published_aligners("smollm2") == published_aligners("../en-fr") == ()
    trace = lens.trace("The red car stopped in front of the house.")
    found = named(trace.attentions["cross"], aligners=aligners)
    assert found[0, 3] == ["fed_in"]
    assert found[2, 4] == ["predicted"]
    one = character(trace.attentions["cross"], "fed_in", aligners=aligners)
    assert one.share[0, 3] == pytest.approx(0.93, abs=0.02)
    assert one.baseline[0, 3] == pytest.approx(1 / 11, abs=0.01)
