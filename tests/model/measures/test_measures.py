"""Measures on made-up heads whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from model.maps.entropy import entropy_bits
from model.maps.layer_maps import LayerMaps
from model.maps.words import merge_words
from model.measures.heads.head_roles import induction_scores, role_scores, special_mass
from model.measures.heads.head_steps import head_steps
from model.measures.hidden_states import cosine_to_embedding, state_coordinates
from model.trace.attention import Attention
from model.trace.check import Check
from model.trace.tokens import Tokens
from model.translator.translator import Translator


@dataclass(frozen=True)
class Fixed(LayerMaps):
    """A recorded layer with weights that were made up."""

    made: np.ndarray  # [head, query, key]
    scale: float = 1.0
    softcap: float | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (*self.made.shape, 1)

    def array(self, name: str) -> np.ndarray:
        if name == "allowed":
            return self.made[0] > 0
        if name == "bias":
            return np.zeros_like(self.made)
        return np.ones((len(self.made), self.made.shape[1], 1), np.float32)

    def scores(self, masked: bool = True) -> np.ndarray:
        return np.log(np.maximum(self.made, 1e-30))

    def weights(self) -> np.ndarray:
        return self.made


def made_up(*heads: np.ndarray, special: tuple[bool, ...] | None = None) -> Attention:
    queries, keys = heads[0].shape
    weights = np.stack(heads).astype(np.float32)
    tokens = [Tokens(tuple(f"t{i}" for i in range(n)), special or (False,) * n) for n in (queries, keys)]
    return Attention("encoder", *tokens, len(heads), 1, (Fixed(weights),))


def test_roles_find_the_planted_pattern_and_nothing_in_a_uniform_head() -> None:
    size = 6
    previous, following = np.eye(size, k=-1), np.eye(size, k=1)
    previous[0, 0] = following[-1, -1] = 1
    attention = made_up(previous, np.eye(size), following, np.full((size, size), 1 / size))
    scores = role_scores(attention, 0)
    assert [int(np.argmax(scores[role])) for role in ("previous", "same", "next")] == [0, 1, 2]
    for role, head in (("previous", 0), ("same", 1), ("next", 2)):
        assert scores[role][head] == 1
        assert scores[role][3] == pytest.approx(1 / size)


@pytest.mark.parametrize(("role", "offset"), [("previous", -1), ("same", 0), ("next", 1)])
def test_no_role_is_seen_in_a_head_that_plays_another(role: str, offset: int) -> None:
    others = [np.roll(np.eye(7), other, axis=1) for other in (-3, -2, -1, 0, 1, 2, 3) if other != offset]
    assert role_scores(made_up(*others), 0)[role].max() == 0


def test_no_special_token_takes_anything_where_there_is_none() -> None:
    weights = np.array([[0.0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]])
    assert special_mass(made_up(weights), 0, 0) == 0
    assert special_mass(made_up(weights, special=(True, False, False)), 0, 0) == 0  # one is there, nobody looks at it


def test_induction_finds_the_planted_head_and_nothing_in_the_others() -> None:
    planted = np.tril(np.full((6, 6), 1e-9)) + np.eye(6)
    for query, key in ((3, 1), (4, 2), (5, 3)):
        planted[query] = 0
        planted[query, key] = 1
    tokens = Tokens(("a", "b", "c", "a", "b", "c"), (False,) * 6)
    heads = np.stack([planted, np.eye(6), np.tril(np.ones((6, 6))) / np.arange(1, 7)[:, None]]).astype(np.float32)
    attention = Attention("decoder", tokens, tokens, 3, 1, (Fixed(heads),))
    scores = induction_scores(attention, 0)
    assert scores[0] == 1
    assert scores[1] == 0
    assert scores[2] < 0.3
    fresh = Tokens(tuple("abcdef"), (False,) * 6)
    assert np.isnan(induction_scores(Attention("decoder", fresh, fresh, 3, 1, (Fixed(heads),)), 0)).all()
    # "a" with a space before it and "a" without are two ids, whatever their labels.
    other = Tokens(tokens.texts, tokens.special, raw=("a", "b", "c", "Ġa", "Ġb", "Ġc"))
    assert np.isnan(induction_scores(Attention("decoder", other, other, 3, 1, (Fixed(heads),)), 0)).all()


def test_words_take_the_sum_of_their_pieces_and_ask_with_the_mean() -> None:
    weights = np.array([[0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.5, 0.0], [0.2, 0.2, 0.2, 0.4], [0.25, 0.25, 0.25, 0.25]])
    tokens = Tokens(("a", "un", "·do", "."), (False,) * 4, (False, False, True, False))
    attention = Attention("encoder", tokens, tokens, 1, 1, (Fixed(weights[None].astype(np.float32)),))
    merged = merge_words(attention)
    assert merged.query_tokens == ("a", "undo", ".")
    assert not merged.has_vectors
    expected = [[0.1, 0.5, 0.4], [0.1, 0.7, 0.2], [0.25, 0.5, 0.25]]
    np.testing.assert_allclose(merged.weights(0)[0], expected, atol=1e-6)
    assert merged.mask(0).all()
    whole = Tokens(("a", "b"), (False,) * 2)
    np.testing.assert_array_equal(
        merge_words(Attention("encoder", whole, whole, 1, 1, (Fixed(np.full((1, 2, 2), 0.5, np.float32)),))).weights(0),
        np.full((1, 2, 2), 0.5, np.float32),
    )


def test_special_tokens_do_not_ask_but_their_share_is_counted() -> None:
    weights = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0, 0, 1.0]])
    assert special_mass(made_up(weights, special=(False, False, True)), 0, 0) == pytest.approx((0.25 + 0.8) / 2)


def test_entropy() -> None:
    assert entropy_bits(np.array([[1.0, 0, 0, 0], [0.25] * 4])).tolist() == [0, 2]


def test_steps_of_a_head_end_at_the_weights_of_the_model(lens: Translator) -> None:
    attention = lens.trace("The red car stopped.").attentions["decoder"]
    steps = head_steps(attention, 1, 3, 2)
    assert steps.error < 1e-5
    expected = np.exp(steps.scaled[:3].astype(np.float64))
    np.testing.assert_allclose(steps.weights[:3], expected / expected.sum(), atol=1e-6)
    assert (steps.weights[3:] == 0).all()
    assert np.isneginf(steps.scores[3:]).all()
    np.testing.assert_allclose(steps.products.sum(-1), steps.dots)
    np.testing.assert_allclose(steps.output, steps.weights @ attention.value(1)[3], atol=1e-5)


def test_similarity_to_the_embedding() -> None:
    states = np.array([[[1.0, 0], [0, 2]], [[0, 3.0], [0, 1]]])
    assert cosine_to_embedding(states).tolist() == [[1, 1], [0, 1]]


def test_paths_keep_all_variance_of_flat_data_and_do_not_flip() -> None:
    flat = np.zeros((3, 4, 10))
    flat[..., 2], flat[..., 7] = np.arange(12).reshape(3, 4), np.arange(12).reshape(3, 4) ** 2
    points, kept = state_coordinates(flat)
    assert kept == pytest.approx(1)
    assert points.shape == (3, 4, 2)
    distance = np.linalg.norm(flat[0, 0] - flat[2, 3])
    assert np.linalg.norm(points[0, 0] - points[2, 3]) == pytest.approx(distance)
    np.testing.assert_allclose(state_coordinates(flat.copy())[0], points)


def test_one_token_has_a_path_too() -> None:
    assert state_coordinates(np.ones((2, 1, 4)))[0].shape == (2, 1, 2)


@pytest.mark.parametrize(
    "errors", [(1e-3, 0, 0, 0), (0, 1e-3, 0, 0), (0, 0, 1e-9, 0), (0, 0, 0, 1e-3), (float("nan"), 0, 0, 0)]
)
def test_a_check_turns_red_for_each_of_its_reasons(errors: tuple[float, float, float, float]) -> None:
    assert Check(0, 0, 0, 0, tolerance=1e-4, logit_tolerance=1e-4, how="").ok
    assert not Check(*errors, tolerance=1e-4, logit_tolerance=1e-4, how="").ok
