"""Published findings: the criterion stands in the table; it is met, it is not, or the finding says why not known."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import model
from model.assets import ASSETS
from model.catalog.entries import CATALOG
from model.errors import InputError
from model.findings import default_sentences, main
from model.lab.finding_table import FAMILIES, FindingSpec, all_findings
from model.lab.findings import WHY, check_findings
from model.lab.measures import MEASURES
from model.lab.resampling import Estimate, repeated_ids
from model.lab.statistics import STATISTICS, best_head, rank_correlation
from model.structures.samples import held_out
from model.translator.translator import Translator
from tests.model.lab.made import MadeLens

WORDS = ["lamp", "river", "seven", "tree", "cloud", "stone", "window", "paper", "horse", "bread"]
TEXTS = [" ".join(WORDS[i : i + 6]) for i in range(5)] + [" ".join(WORDS[i::-1]) for i in (5, 6, 7, 8, 9)]


def spec(name: str) -> FindingSpec:
    return next(one for one in all_findings() if one.id == name)


def checked(one: FindingSpec, lens: Any = None, sentences: Any = TEXTS) -> Any:
    return check_findings(lens or MadeLens(), "made", sentences, [replace(one, models=())])[0]


def test_a_planted_head_is_found_and_an_absent_one_is_not() -> None:
    there, absent = checked(spec("previous")), checked(spec("next"))
    assert there.holds is True
    assert there.at == ("encoder", 0, 0)
    assert there.measured.value == pytest.approx(1, abs=1e-6)
    assert there.measured.low >= 0.5 == there.line
    assert absent.holds is False
    assert absent.why == "The interval is below 0.50."


def test_a_head_is_chosen_by_other_sentences_than_it_is_judged_by() -> None:
    """Of heads that differ by chance alone, the best one on all sentences looks better than it is."""
    found = checked(spec("previous"))
    assert found.measured.count == len(TEXTS) // 2
    few = checked(spec("previous"), sentences=TEXTS[:3])
    assert (few.holds, few.reason) == (None, "few")


def test_a_value_that_an_even_look_reaches_too_does_not_count() -> None:
    short = ["a b", "c d", "e f", "g h"]  # two tokens: an even look has half of its attention on each
    found = checked(replace(spec("previous"), measure="first", statistic="mean", times_even=2.0), sentences=short)
    assert found.line == pytest.approx(1.0)
    assert found.holds is not True


def test_an_interval_across_the_line_is_not_known() -> None:
    found = checked(replace(spec("previous"), statistic="head", head=(0, 0), at_least=0.6), MadeLens(noise=1))
    assert found.measured.low < 0.6 < found.measured.high
    assert (found.holds, found.reason) == (None, "undecided")


def test_what_cannot_be_measured_says_why() -> None:
    reasons = {one.id: one.reason for one in check_findings(MadeLens(), "made", TEXTS)}
    assert reasons["sink"] == reasons["induction"] == reasons["fed_in"] == "family"
    assert reasons["separator"] == "not_shown"
    for finding in check_findings(MadeLens(), "made", TEXTS):
        assert (finding.measured is None) == (
            finding.reason not in ("holds", "fails", "undecided", "holds_once", "fails_once")
        )
        assert finding.why.endswith(".")
        assert finding.source
        assert finding.published


def test_of_one_text_there_is_no_interval() -> None:
    one = replace(spec("minilm_cat"), given="the cat saw it", query="saw", key="cat", head=(0, 0), at_least=0.9)
    found = checked(one)
    assert (found.holds, found.reason) == (True, "holds_once")
    assert math.isnan(found.measured.low)
    assert str(found.measured) == "1.00"


def test_a_model_of_pictures_is_refused() -> None:
    lens = MadeLens()
    lens.takes = "image"
    with pytest.raises(InputError, match="reads images"):
        check_findings(lens, "made", TEXTS)


def test_the_table_is_complete() -> None:
    known = {*MEASURES, "effect", "pruned", "mapped_atoms", "weight"}
    for one in all_findings():
        assert one.measure in known
        assert one.statistic in {*STATISTICS, "head", "best_head", "rank_correlation"}
        assert set(one.families) <= set(FAMILIES)
        assert set(one.models) <= set(CATALOG)
        assert one.read in ("sentences", "repeated", "reactions", "text")
        assert one.says.format(**one.place)
        assert (one.statistic == "head") == bool(one.head)
        assert one.times_even == 0 or one.statistic in ("best_head", "head")


def test_the_interface_says_the_same() -> None:
    texts = tomllib.loads((ASSETS / "i18n" / "en.toml").read_text(encoding="utf-8"))["findings"]
    for one in all_findings():
        assert texts[one.text] == one.says
    for reason, why in WHY.items():
        assert texts[f"why_{reason}"] == why


def test_statistics() -> None:
    means = np.array([[0.9, 0.8], [0.2, 0.1], [0.3, 0.7]])
    of = replace(spec("sink"), skip_layers=1, above=0.25)
    assert STATISTICS["share_of_heads"](of)(means) == pytest.approx(0.5)
    assert STATISTICS["mean"](of)(means) == pytest.approx(0.325)
    assert STATISTICS["first_layer_over_rest"](of)(means) == pytest.approx(0.85 - 0.325)
    assert best_head(means, of) == (2, 1)
    assert best_head(means, replace(of, layers=(0.0, 0.0))) == (0, 0)
    assert best_head(np.full((1, 2), np.nan), replace(of, skip_layers=0)) is None
    assert rank_correlation(np.array([1, 2, 3.0]), np.array([1, 4, 9.0])) == pytest.approx(1)
    assert rank_correlation(np.array([[1, 2, 3.0]]), np.array([[3, 2, 1.0]])) == pytest.approx([-1])
    assert spec("separator").chosen_layers(12) == range(5, 10)  # layers 6 to 10 of BERT, counted from 1
    first = repeated_ids(4, 90, 10, 3, 0)
    assert all(row[:10] == row[10:] and len(row) == 20 for row in first)
    assert first == repeated_ids(4, 90, 10, 3, 0) != repeated_ids(4, 90, 10, 3, 1)
    assert str(Estimate(0.5, 0.41, 0.6, 9)) == "0.50 (0.41 to 0.60)"


def test_held_out_inputs_suit_what_a_model_reads() -> None:
    assert len(held_out("language")) == 200
    assert len(held_out("code")) == 20
    assert all(compile(one, "<text>", "exec") for one in held_out("code"))
    assert len(held_out("reaction")) == 5
    assert len(held_out("protein")) == 3
    assert held_out("image") == ()
    assert 60 <= len(default_sentences("en-fr")) <= 70
    assert default_sentences("python") == held_out("code")


def test_the_bundled_translator(lens: Translator) -> None:
    wanted = [spec(name) for name in ("previous", "fed_in", "sink")]
    found = {one.id: one for one in check_findings(lens, "en-fr", default_sentences("en-fr", 8), wanted)}
    assert found["previous"].at == ("encoder", 1, 5)
    assert found["previous"].holds
    assert found["fed_in"].at == ("cross", 0, 3)
    assert (found["sink"].holds, found["sink"].reason) == (None, "family")


def test_silencing_needs_a_model_whose_heads_can_be_silenced(lens: Translator) -> None:
    small = [spec("few_matter"), spec("pruned"), spec("confident")]
    found = check_findings(lens, "en-fr", default_sentences("en-fr", 6)[:6], small)
    assert [one.measured is not None or one.reason == "few" for one in found] == [True] * 3
    assert checked(spec("few_matter")).reason == "no_edits"


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main([]) == 2
    assert "python -m model.findings en-fr" in capsys.readouterr().out
    assert main(["no-such-model-here"]) == 1
    monkeypatch.setattr("model.findings.run", lambda name: [checked(spec("previous"))])
    assert main(["made"]) == 0
    assert "holds          A head puts more than half" in (said := capsys.readouterr().out)
    assert "measured 1.00 (1.00 to 1.00) share (encoder, layer 0, head 0)" in said
    assert model.findings.run is not None
