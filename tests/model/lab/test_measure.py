"""Many sentences: known heads have their roles, intervals cover, and what cannot be read is told."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

import model
from model.errors import InputError
from model.lab.measures import MEASURES, fitting
from model.lab.resampling import ends, intervals, resampled_means
from model.measures.heads.head_characters import head_characters
from model.trace.edits import Edits
from model.translator.translator import Translator
from tests.model.lab.made import EVEN, FIRST, PREVIOUS, MadeLens

SENTENCES = ["a b c d e", "one two three four", "the cat saw the cat again today", "x y z w", "p q r s t u"]


def measured(name: str, **options: Any) -> Any:
    found = model.lab.measure(MadeLens(**options), SENTENCES)
    at = found.measures.index(name)
    return found, found.mean["encoder"][at, 0], found.baseline["encoder"][at, 0]


def test_known_heads_have_their_roles_and_the_even_one_its_baseline() -> None:
    _, previous, even = measured("previous")
    assert previous[PREVIOUS] == pytest.approx(1, abs=1e-6)
    assert previous[EVEN] == pytest.approx(even[EVEN], abs=1e-6)
    assert previous[FIRST] == pytest.approx(0, abs=1e-6)
    _, first, _ = measured("first")
    assert first[FIRST] == pytest.approx(1, abs=1e-6)
    assert measured("spreads")[1][EVEN] == pytest.approx(1, abs=1e-6)
    assert measured("confidence")[1][[PREVIOUS, FIRST]] == pytest.approx(1, abs=1e-6)
    entropies = [np.log2(len(one.split())) for one in SENTENCES]
    assert measured("entropy")[1][EVEN] == pytest.approx(np.mean(entropies), abs=1e-5)
    assert measured("entropy")[1][PREVIOUS] == pytest.approx(0, abs=1e-5)
    assert measured("distance")[1][PREVIOUS] == pytest.approx(1, abs=0.3)  # the first token looks at itself


def test_means_are_those_of_each_sentence_alone() -> None:
    """No measure is a second one: each value is that of `head_characters` for this sentence."""
    lens = MadeLens(noise=1)
    found = model.lab.measure(lens, SENTENCES)
    lens.passes = 0
    for row, sentence in enumerate(SENTENCES):
        trace = lens.trace(sentence)
        for one in head_characters(trace.attentions["encoder"], trace.ids["encoder"]):
            assert found.of("encoder", one.name)[row] == pytest.approx(one.share, nan_ok=True), (sentence, one.name)
    means = np.nanmean(found.values["encoder"][:, found.measures.index("previous")], axis=0)
    assert found.mean["encoder"][found.measures.index("previous")] == pytest.approx(means)


def test_a_sentence_counts_once_however_long_it_is() -> None:
    """The unit is the sentence: a long one does not outweigh a short one, and a copy of it narrows nothing else."""
    values = np.array([[0.0], [1.0]], np.float32)
    mean, low, high, counts = intervals(values, 1000, 0)
    assert (mean[0], low[0], high[0], counts[0]) == (0.5, 0, 1, 2)
    found = model.lab.measure(MadeLens(), ["a b c d", "a b c d e f g h i j k l"])
    even = found.mean["encoder"][found.measures.index("previous"), 0, EVEN]
    assert even == pytest.approx((1 / 4 + 1 / 12) / 2, abs=1e-6)


@pytest.mark.parametrize("count", [5, 12, 40])
def test_intervals_cover_the_true_mean_about_as_often_as_they_say(count: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.beta(2, 3, (count, 600)).astype(np.float32)  # 600 studies of as many sentences
    _, low, high, _ = intervals(values, 500, 0)
    covered = ((low <= 0.4) & (high >= 0.4)).mean()
    assert covered > 0.91
    assert covered < 0.995
    drawn = resampled_means(
        values, np.random.default_rng(0).multinomial(count, [1 / count] * count, 500).astype(np.float32)
    )
    plain = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert (
        ends(drawn, count)[1] - ends(drawn, count)[0] >= plain[1] - plain[0]
    ).all()  # never narrower than percentiles


def test_what_cannot_be_shown_counts_as_no_sentence() -> None:
    found, induction, _ = measured("induction")
    at = found.measures.index("induction")
    assert found.counts["encoder"][at].tolist() == [[1, 1, 1]]  # "the cat … the cat again"
    assert np.isfinite(induction).all()
    assert np.isnan(found.low["encoder"][at]).all()  # one sentence has no interval
    assert "copies" not in found.shown("encoder")
    assert set(fitting("cross")) & {"previous", "copies"} == {"copies"}


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_ones() -> None:
    one, again, other = (model.lab.measure(MadeLens(noise=1), SENTENCES, seed=seed) for seed in (3, 3, 4))
    for part in ("values", "mean", "low", "high"):
        assert getattr(one, part)["encoder"].tobytes() == getattr(again, part)["encoder"].tobytes()
    assert one.low["encoder"].tobytes() != other.low["encoder"].tobytes()


def test_sentences_that_cannot_be_read_are_left_out_and_named() -> None:
    found = model.lab.measure(MadeLens(), ["a b c", "", "bad one", " ".join(["w"] * 257), "d e f"])
    assert found.sentences == ("a b c", "d e f")
    assert [one.reason for one in found.left_out] == ["lab_blank", "text_too_long", "lab_long"]
    assert "257 tokens" in found.left_out[2].why
    assert repr(found) == "Measurement(16 measures of encoder 1 layers × 3 heads; 2 sentences, 3 left out)"


@pytest.mark.parametrize(
    ("sentences", "says"),
    [
        ([], "There are no sentences to measure"),
        (["", "  "], "There are no sentences to measure"),
        ("one text", "Give a list of sentences"),
        (["bad"], "None of the sentences can be read. The first: Your text has too many"),
    ],
)
def test_no_sentences_say_what_to_do(sentences: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        model.lab.measure(MadeLens(), sentences)


def test_bad_requests_name_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"unknown measures \['prev'\]; choose of previous"):
        model.lab.measure(MadeLens(), SENTENCES, ["prev"])
    with pytest.raises(ValueError, match="1 targets for 5 sentences"):
        model.lab.measure(MadeLens(), SENTENCES, targets=[None])
    pictures = MadeLens()
    pictures.takes = "image"
    with pytest.raises(InputError, match="reads images"):
        model.lab.measure(pictures, SENTENCES)


def test_progress_is_told_and_can_end_the_work() -> None:
    told: list[tuple[int, int]] = []
    model.lab.measure(MadeLens(), SENTENCES, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 5) for done in range(6)]
    lens = MadeLens()

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.lab.measure(lens, SENTENCES, progress=stop)
    assert lens.passes == 2


def test_edits_reach_every_pass() -> None:
    lens, edits = MadeLens(), Edits(heads={("encoder", 0, 1): 0.0})
    model.lab.measure(lens, SENTENCES, ["previous"], edits)
    assert lens.edits == [edits] * 5


def test_the_table_holds_every_number() -> None:
    found = model.lab.measure(MadeLens(noise=1), SENTENCES, ["previous", "entropy", "copies"])
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    assert len(rows) == 6  # "copies" is of cross-attention
    assert rows[0] | {"mean": "", "low": "", "high": "", "even_look": ""} == {
        "kind": "encoder", "measure": "previous", "unit": "share", "layer": "0", "head": "0",
        "mean": "", "low": "", "high": "", "even_look": "", "sentences": "5",
    }  # fmt: skip
    assert float(rows[0]["mean"]) == pytest.approx(float(found.mean["encoder"][0, 0, 0]), rel=1e-5)
    assert rows[3]["even_look"] == ""
    assert found.units == ("share", "bits", "share")
    with pytest.raises(ValueError, match="read-only"):
        found.mean["encoder"][0] = 0


def test_the_bundled_translator_has_all_its_kinds(lens: Translator) -> None:
    found = model.lab.measure(lens, ["The red car stopped.", "I saw the cat, and the cat saw me."], resamples=200)
    assert found.kinds == ("encoder", "decoder", "cross")
    assert {kind: one.shape for kind, one in found.mean.items()} == dict.fromkeys(found.kinds, (len(MEASURES), 3, 8))
    for kind in found.kinds:
        assert set(found.shown(kind)) <= set(fitting(kind))
        both = found.counts[kind] >= 2
        assert (found.low[kind][both] <= found.mean[kind][both] + 1e-6).all()
        assert (found.high[kind][both] >= found.mean[kind][both] - 1e-6).all()
