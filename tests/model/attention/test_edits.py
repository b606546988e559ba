"""Edits: what is changed is changed exactly, and nothing else."""

from __future__ import annotations

import copy
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
import torch

import model
from model.attention import formula
from model.errors import InputError
from model.huggingface.recording import attention_interface
from model.huggingface.text_model import TextModel
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.trace import Trace
from model.translator.translator import Translator
from tests.model.huggingface.test_families import TARGET, opened  # noqa: F401

TEXT, FRENCH = "The red car stopped.", "La voiture rouge s'est arrêtée."
EVERY_KIND = Edits(
    heads={("cross", 2, 5): 0.0, ("encoder", 0, None): 0.5, ("encoder", 0, 3): 2.0},
    blocked={("encoder", 3, 0), ("decoder", 2, 1, 1)},
    allowed={("decoder", 0, 2), ("decoder", None, 4, 2)},
    masks={("encoder", 1): "window2", ("cross", 0): "full"},
    temperature={"decoder": 2.0, "cross": 0.5},
    uniform={("decoder", 0, 1)},
    patched={("encoder", 2, 4): ("The old man smiled.", None)},
    positions="shuffled",
)


def same(a: Trace, b: Trace) -> bool:
    """Bit-equal weights, states and logits."""
    pairs = [
        (a.attentions[k].weights(i), b.attentions[k].weights(i))
        for k in a.attentions
        for i in range(a.attentions[k].num_layers)
    ]
    pairs += [(a.hidden_states[s], b.hidden_states[s]) for s in a.hidden_states]
    if a.logits is not None and b.logits is not None:
        pairs.append((a.logits, b.logits))
    return all(np.array_equal(x, y) for x, y in pairs)


def test_edits_are_values() -> None:
    assert Edits() == Edits()
    assert not Edits()
    made = Edits(heads={("cross", 2, 5): 0}, blocked={("encoder", 3, 0)}, temperature={"decoder": 2})
    assert made == Edits(heads={("cross", 2, 5): 0.0}, blocked=[("encoder", 3, 0)], temperature={"decoder": 2.0})
    assert hash(made) == hash(Edits.parse(made.text()))
    assert {made: 1}[Edits.parse(made.text())] == 1
    with pytest.raises(TypeError):
        made.heads["cross", 0, 0] = 1.0  # type: ignore[index]


@pytest.mark.parametrize("edits", [Edits(), EVERY_KIND, Edits(patched={("cross", 0, None): ("a;b=c|d", "é:'*")})])
def test_a_link_holds_every_edit(edits: Edits) -> None:
    assert Edits.parse(edits.text()) == edits
    assert pickle.loads(pickle.dumps(edits)) == edits
    assert copy.deepcopy(edits) == edits
    for name, where, _ in edits.items():
        edits = edits.without(name, where)
    assert edits == Edits()


@pytest.mark.parametrize(
    "text",
    [
        "heads",
        "heads:cross.1=0",
        "heads:cross.1.2=x",
        "blocked:encoder.1",
        "no:1",
        "positions=up",
        "blocked:encoder.1.*",
        "masks:x.1=full",
    ],
)
def test_a_broken_link_is_refused_with_its_part(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Edits.parse(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"heads": {("side", 0, 0): 1}},
        {"heads": {("cross", 0, 0): float("nan")}},
        {"temperature": {"cross": 0}},
        {"masks": {("cross", 0): "window0"}},
        {"positions": "gone"},
        {"heads": {("encoder", 0): 0.0}},
        {"blocked": {("encoder", 3)}},
        {"blocked": {("encoder", 3, None)}},
        {"heads": {("encoder", 0, 0): 1e39}},
        {"temperature": {"encoder": 1e-38}},
        {"blocked": {("cross", -1, 0)}},
    ],
)
def test_impossible_edits_are_refused_with_their_value(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Edits(**wrong)  # type: ignore[arg-type]


def test_silencing_a_head_takes_exactly_its_slice_away(lens: Translator) -> None:
    kept: dict[bool, torch.Tensor] = {}
    block = lens.module.decoder[1].cross_attention
    for silent in (False, True):
        hook = block.register_forward_hook(lambda *args, silent=silent: kept.__setitem__(silent, args[2].clone()))
        trace = lens.trace(TEXT, FRENCH, Edits(heads={("cross", 1, 3): 0.0} if silent else {}))
        hook.remove()
        if not silent:
            plain = trace
    attention = plain.attentions["cross"]
    head = torch.tensor(attention.weights(1)[3] @ attention.value(1)[3])
    share = head @ block.w_o.weight[:, 3 * 32 : 4 * 32].T
    torch.testing.assert_close(kept[False][0] - kept[True][0], share, atol=2e-6, rtol=0)
    assert np.array_equal(trace.attentions["cross"].weights(1), attention.weights(1))
    assert np.array_equal(trace.attentions["cross"].value(1), attention.value(1))
    assert not np.array_equal(trace.attentions["cross"].weights(2), attention.weights(2))


def test_other_heads_stay_bit_equal(lens: Translator) -> None:
    from model.attention.edit_plan import EditPlan, apply_edits
    from model.attention.formula import attention

    torch.manual_seed(1)
    q, k, v = torch.randn(3, 1, 4, 6, 8)
    plain = attention(q, k, v, kind="encoder", layer=0)
    for edits, head in (
        (Edits(heads={("encoder", 0, 2): 0.0}), 2),
        (Edits(uniform={("encoder", 0, 1)}), 1),
    ):
        with apply_edits(EditPlan(edits)):
            changed = attention(q, k, v, kind="encoder", layer=0)
            other = attention(q, k, v, kind="encoder", layer=1)
        others = [h for h in range(4) if h != head]
        assert torch.equal(changed[:, others], plain[:, others])
        assert not torch.equal(changed[:, head], plain[:, head])
        assert torch.equal(other, plain)


def test_no_edits_and_all_undone_are_bit_equal_also_with_eight_threads(lens: Translator) -> None:
    plain = lens.trace(TEXT)
    changes = [
        Edits(),
        Edits(heads={("cross", 0, 3): 0.0}),
        None,
        Edits(positions="off"),
        Edits(temperature={"encoder": 3.0}),
    ]

    def run(number: int) -> tuple[int, Trace]:
        return number, lens.trace(TEXT, edits=changes[number % len(changes)])

    with ThreadPoolExecutor(8) as pool:
        for number, trace in pool.map(run, range(24)):
            assert same(trace, plain) == (not changes[number % len(changes)])


def test_blocked_cells_have_weight_zero_and_rows_still_sum_to_1(lens: Translator) -> None:
    trace = lens.trace(TEXT, FRENCH, Edits(blocked={("encoder", 3, 0), ("decoder", None, 1), ("cross", 1, 2, 0)}))
    for layer, head in product(range(3), range(8)):
        assert trace.attentions["encoder"].weights(layer)[head, 3, 0] == 0
        assert (trace.attentions["decoder"].weights(layer)[head, :, 1] == 0).all()
        assert (trace.attentions["cross"].weights(layer)[head, 1, 2] == 0) == (layer == 0)
        for attention in trace.attentions.values():
            np.testing.assert_allclose(attention.weights(layer)[head].sum(-1), 1, atol=1e-6)
    assert trace.verify().ok


def test_allowed_cells_get_weight_and_nothing_else_changes_in_the_mask(lens: Translator) -> None:
    trace = lens.trace(TEXT, FRENCH, Edits(allowed={("decoder", 1, 4), ("decoder", 2, 5, 1)}))
    attention = trace.attentions["decoder"]
    for layer in range(3):
        expected = np.tri(len(attention.queries), dtype=bool)
        expected[1, 4] = True
        expected[2, 5] = layer == 1
        assert attention.mask(layer).tolist() == expected.tolist()
        assert (attention.weights(layer)[:, 1, 4] > 0).all()
    assert (attention.weights(1)[:, 2, 5] > 0).all()
    assert trace.verify().ok


def test_the_more_specific_cell_counts_and_of_equal_ones_the_blocked_one() -> None:
    edits = Edits(
        blocked={("encoder", None, 2), ("encoder", 1, 3), ("encoder", 0, 0)},
        allowed={("encoder", 4, 2), ("encoder", 1, 3, 1), ("encoder", 0, 0), ("cross", 0, 1)},
    )
    found = {(query, key): allowed for query, key, allowed in edits.cells("encoder", 0)}
    assert found == {(None, 2): False, (4, 2): True, (1, 3): False, (0, 0): False}
    assert edits.cells("encoder", 0)[0] == (None, 2, False)  # applied first
    assert edits.cells("encoder", 1)[-1] == (1, 3, True)


def test_a_cell_changed_and_changed_back_leaves_no_trace(lens: Translator) -> None:
    seen = Edits().with_cell("decoder", 0, 3, allowed=True)
    assert seen == Edits(allowed={("decoder", 0, 3)})
    assert seen.with_cell("decoder", 0, 3, allowed=False) == Edits()
    closed = Edits().with_cell("decoder", 2, 1, allowed=False)
    assert closed == Edits(blocked={("decoder", 2, 1)})
    assert closed.with_cell("decoder", 2, 1, allowed=True) == Edits()
    # Under another mask, the cell's own state does not follow from the model: it is said.
    for others in (Edits(blocked={("decoder", None, 1)}), Edits(masks={("decoder", None): "window1"})):
        edits = others
        for wanted in (True, False, True, False):
            edits = edits.with_cell("decoder", 3, 1, allowed=wanted)
            assert lens.trace(TEXT, FRENCH, edits).attentions["decoder"].mask(0)[3, 1] == wanted


def test_a_row_with_nothing_left_is_refused(lens: Translator) -> None:
    with pytest.raises(InputError, match="token 0 has nothing left") as caught:
        lens.trace(TEXT, FRENCH, Edits(blocked={("decoder", 0, 0)}))
    assert caught.value.reason == "row_blind"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("full", lambda q, k: True),
        ("causal", lambda q, k: k <= q),
        ("window1", lambda q, k: k <= q and q - k <= 1),
        ("block3", lambda q, k: k <= q and q // 3 == k // 3),
    ],
)
def test_masks_have_their_shape(lens: Translator, shape: str, expected: object) -> None:
    attention = lens.trace(TEXT, FRENCH, Edits(masks={("decoder", 1): shape})).attentions["decoder"]
    n = len(attention.query_tokens)
    assert attention.mask(1).tolist() == [[expected(q, k) for k in range(n)] for q in range(n)]  # type: ignore[operator]
    assert attention.mask(0).tolist() == np.tri(n, dtype=bool).tolist()


def test_temperature_divides_the_scores(lens: Translator) -> None:
    plain, warm = (lens.trace(TEXT, FRENCH, Edits(temperature=t)) for t in ({}, {"encoder": 4.0}))
    np.testing.assert_allclose(
        warm.attentions["encoder"].scores(0) * 4, plain.attentions["encoder"].scores(0), rtol=1e-5
    )
    assert np.array_equal(warm.attentions["decoder"].scores(0), plain.attentions["decoder"].scores(0))


def test_a_patched_head_has_the_other_sentences_pattern(lens: Translator) -> None:
    other = "The old man smiled."
    trace = lens.trace(
        TEXT, FRENCH, Edits(patched={("encoder", 1, 2): (other, None), ("cross", 0, 3): (other, FRENCH)})
    )
    np.testing.assert_allclose(
        trace.attentions["encoder"].weights(1)[2], lens.trace(other).attentions["encoder"].weights(1)[2], atol=1e-6
    )
    assert trace.verify().ok
    with pytest.raises(InputError, match="other sentence has 3 tokens and this one 6"):
        lens.trace(TEXT, FRENCH, Edits(patched={("encoder", 1, 2): ("Stop.", None)}))


def test_without_positions_the_order_of_the_words_is_gone(lens: Translator) -> None:
    # Every token stands at place 0, so two orders of the same words give the same bag of states.
    states = [
        lens.trace(text, FRENCH, Edits(positions="off")).hidden_states["encoder"][-1]
        for text in ("we see them", "them see we")
    ]
    np.testing.assert_allclose(np.sort(states[0], axis=0), np.sort(states[1], axis=0), atol=1e-5)


def for_kind(kind: str, other: str, target: str) -> list[Edits]:
    """One edit of each sort for an attention kind; `other` is a sentence as long as the one that is traced."""
    return [
        Edits(heads={(kind, 1, 2): 0.0, (kind, 0, None): 0.5}),
        Edits(blocked={(kind, 3, 1), (kind, None, 2, 1)}),
        Edits(blocked={(kind, None, 1)}, allowed={(kind, 2, 1), (kind, 0, 4, 1)}),
        Edits(masks={(kind, 0): "window1", (kind, 1): "block3"}),
        Edits(temperature={kind: 3.0}),
        Edits(uniform={(kind, 1, 0)}),
        Edits(patched={(kind, 0, 1): (other, target)}),
    ]


@pytest.mark.parametrize(
    "family", ["bert", "distilbert", "gpt2", "llama", "mistral", "qwen3", "bart", "t5", "esm", "albert", "opt"]
)
def test_edits_mean_the_same_in_every_family(opened: dict[str, TextModel], family: str) -> None:  # noqa: F811
    lens: Lens = opened[family]
    target = TARGET if lens.is_encoder_decoder else ""
    text, other = "the cat sat on the mat because the cat was tired", "the mat sat on the cat because the mat was tired"
    plain = lens.trace(text, target)
    assert same(lens.trace(text, target, Edits()), plain)
    for kind in lens.heads:
        for edits in for_kind(kind, other, target):
            trace = lens.trace(text, target, edits)
            assert not same(trace, plain), edits
            check = trace.verify()
            assert check.ok, (edits, check)
            assert check.leaked_mass == 0
            for attention in trace.attentions.values():
                np.testing.assert_allclose(attention.weights(0).sum(-1), 1, atol=1e-5)
    for how in ("off", "shuffled"):
        moved = lens.trace(text, target, Edits(positions=how))
        assert not same(moved, plain)
        assert moved.verify().ok
    assert same(lens.trace(text, target), plain)


def test_what_a_model_does_not_have_is_said(opened: dict[str, TextModel], lens: Translator) -> None:  # noqa: F811
    with pytest.raises(InputError, match=r"nothing to change at cross\.9\.\*") as caught:
        lens.trace(TEXT, edits=Edits(heads={("cross", 9, None): 0.0}))
    assert caught.value.reason == "edits_unfit"
    with pytest.raises(InputError, match="way of its own"):
        opened["xlnet"].trace("the cat", edits=Edits(temperature={"encoder": 2.0}))
    fitting = Edits(heads={("cross", 9, None): 0.0, ("cross", 2, 1): 0.0}).supported_by(lens.heads)
    assert fitting == Edits(heads={("cross", 2, 1): 0.0})


def test_every_sort_of_edit_at_once_is_still_checked(lens: Translator) -> None:
    trace = lens.trace(TEXT, FRENCH, EVERY_KIND)
    before = {name: tensor.clone() for name, tensor in lens.module.state_dict().items()}
    check = trace.verify()
    assert check.ok, check
    # The stock implementation shares the weights, and its edits are not to reach them.
    assert all(torch.equal(tensor, before[name]) for name, tensor in lens.module.state_dict().items())
    assert trace.edits == EVERY_KIND
    assert lens.trace(TEXT, edits=EVERY_KIND).output  # decodes with them, too
    assert model.Edits is Edits


def test_edits_written_differently_are_equal() -> None:
    assert hash(Edits(heads={("cross", 0, 0): -0.0})) == hash(Edits(heads={("cross", 0, 0): 0}))
    assert Edits(heads={("cross", np.int64(2), np.int64(5)): 0}) == Edits(heads={("cross", 2, 5): 0})
    assert Edits.parse("blocked:encoder.1.2.*") == Edits(blocked={("encoder", 1, 2)})


@pytest.mark.parametrize("family", ["mistral", "t5", None])
@pytest.mark.parametrize(
    "edits",
    [
        Edits(positions="shuffled"),
        Edits(masks={("decoder", None): "full"}),
        Edits(uniform={("decoder", None, None)}),
        Edits(allowed={("decoder", 0, 1), ("decoder", 1, 6)}),
    ],
)
def test_in_a_batch_edits_do_what_they_do_alone(
    opened: dict[str, TextModel],  # noqa: F811
    lens: Translator,
    family: str | None,
    edits: Edits,
) -> None:
    here: Lens = opened[family] if family else lens
    texts, targets = ["the cat", "the cat sat on the mat"], ["le chat", "le chat était assis"]
    forced = targets if here.is_encoder_decoder else ["", ""]
    for trace, text, target in zip(here.trace_batch(texts, forced, edits), texts, forced, strict=True):
        assert same(trace, here.trace(text, target, edits))
        assert trace.verify().ok


def test_the_check_turns_red_for_a_nan_and_for_states_where_there_are_no_logits(
    opened: dict[str, TextModel],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lens = opened["bert-base"]
    assert lens.trace("the cat").verify().ok
    right = formula.attention
    monkeypatch.setattr(attention_interface, "attention", lambda *args, **kwargs: 3 * right(*args, **kwargs))
    broken = lens.trace("the cat")
    monkeypatch.undo()
    assert not broken.verify().ok
    weight = lens.module.encoder.layer[1].attention.self.query.weight
    kept = weight.data[0, 0].item()
    weight.data[0, 0] = float("nan")
    try:
        assert not lens.trace("the cat").verify().ok
    finally:
        weight.data[0, 0] = kept


def test_thousands_of_changes_are_refused_and_a_thousand_take_no_time() -> None:
    cells = [f"blocked:decoder.{i // 40}.{i % 40}" for i in range(2000)]
    with pytest.raises(ValueError, match="more than 1,000 changes"):
        Edits.parse(";".join(cells))
    with pytest.raises(ValueError, match="more than 1,000 changes"):
        Edits.parse(";".join(cells * 50))
    with pytest.raises(ValueError, match="no edit that Headlight knows"):
        Edits.parse(",".join(cells * 50))
    begun = time.thread_time()
    heads = [f"heads:decoder.{i // 40}.{i % 40}=0.5" for i in range(500)]
    many = Edits.parse(";".join([*cells[:499], *heads, "positions=off"]))
    kept = many.supported_by({"decoder": (3, 8), "encoder": (1, 1)})
    assert len(list(kept.items())) == 499 + 24 + 1
    assert kept.positions == "off"
    assert many.supported_by({"decoder": (13, 40)}) is many
    assert not many.supported_by({}).heads
    assert time.thread_time() - begun < 5  # 20 seconds where each change is taken out one by one


@pytest.mark.parametrize(
    "text", ["heads:cross.%s.1=0" % ("9" * 5000), "heads:" + "x" * 5000, "blocked:cross.1.9999999999"]
)
def test_monstrous_changes_are_refused_with_a_short_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="no edit that Headlight knows") as caught:
        Edits.parse(text)
    assert len(str(caught.value)) < 150


def test_patterns_come_from_a_few_sentences_each_of_which_runs_once(
    lens: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="more than 10 sentences"):
        Edits.parse(";".join(f"patched:cross.0.{i}='{i}|" for i in range(11)))
    ran: list[str] = []
    real = lens.trace

    def trace(text: str, *rest: object) -> object:
        ran.append(text)
        return real(text, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(lens, "trace", trace)
    lens.trace_batch(["I see."], [None], Edits(patched={("cross", 0, head): ("He ran.", None) for head in range(4)}))
    assert ran == ["He ran."]
