"""The training loop: a resumed run equals a straight one, the rate, the averaged weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model.training.loop import Batch, Rounds, StaysFloat32, make_optimizers, train
from model.training.options import Options, rate

OPTIONS = Options(
    steps=12, warmup=3, cooldown=4, evaluate_every=4, device="cpu", peak=0.05, average=0.9, checkpoint_minutes=60
)


class Line:
    """Fits a line to five points a batch, three batches a round."""

    short = True

    def __init__(self) -> None:
        self.saved: list[Path] = []

    def batches(self, number: int) -> Sequence[Batch]:
        rng = torch.Generator().manual_seed(number)
        return [(torch.rand(5, 4, generator=rng), torch.rand(5, 1, generator=rng)) for _ in range(3)]

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        x, y = batch
        return (module(x).float() - y).square().mean()

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        return {"size": sum(p.square().sum().item() for p in module.parameters())}

    def save(self, module: nn.Module, folder: Path) -> None:
        self.saved.append(folder)


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))


class Interrupted(Line):
    """Asks to stop after so many losses, as a machine that goes away would."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().loss(module, batch)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("stops", [1, 2])
def test_a_stopped_run_ends_with_the_weights_of_a_straight_one(tmp_path: Path, stops: int, optimizer: str) -> None:
    options = replace(OPTIONS, optimizer=optimizer)
    straight = train(module(), Line(), options, tmp_path / "straight")
    for _ in range(stops):
        # No time left after the first step: one step, a checkpoint, and the end.
        stopped = train(module(), Line(), replace(options, minutes=0.0), tmp_path / "stopped")
    assert stopped.step == stops
    resumed = train(module(), Line(), options, tmp_path / "stopped")
    assert resumed.step == 12
    assert same(straight.module, resumed.module)
    assert same(straight.average, resumed.average)


def test_a_run_that_broke_off_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    straight = train(module(), Line(), OPTIONS, tmp_path / "straight")
    often = replace(OPTIONS, checkpoint_minutes=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(module(), Interrupted(7), often, tmp_path / "broken")
    resumed = train(module(), Line(), often, tmp_path / "broken")
    assert same(straight.module, resumed.module)
    assert not list((tmp_path / "broken").glob("*.new"))


class Tied(nn.Module):
    """A word model whose output layer is its embedding, with one hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.hidden = nn.Embedding(7, 4), nn.Linear(4, 4)
        self.output = nn.Linear(4, 7, bias=False)
        self.output.weight = self.embedding.weight


def test_muon_moves_the_matrices_of_layers_and_no_embedding() -> None:
    tied = Tied()
    rest, muon = make_optimizers(tied, Options())
    assert [id(p) for p in muon.param_groups[0]["params"]] == [id(tied.hidden.weight)]
    assert {id(p) for p in rest.param_groups[0]["params"]} == {id(tied.embedding.weight), id(tied.hidden.bias)}
    (adamw,) = make_optimizers(tied, Options(optimizer="adamw"))
    assert len(adamw.param_groups[0]["params"]) == 3


def test_dropout_is_at_work_and_differs_between_the_steps(tmp_path: Path) -> None:
    other = train(module(), Line(), replace(OPTIONS, seed=1), tmp_path / "other")
    straight = train(module(), Line(), OPTIONS, tmp_path / "straight")
    assert not same(straight.module, other.module)


def test_figures_are_logged_and_files_written_at_each_evaluation(tmp_path: Path) -> None:
    recipe = Line()
    train(module(), recipe, OPTIONS, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert all(line["size"] > 0 for line in lines)
    assert recipe.saved == [tmp_path] * 3
    train(module(), recipe, OPTIONS, tmp_path)  # a finished run stays as it is
    assert len(recipe.saved) == 3


def test_the_average_lies_between_the_weights_it_was_made_of(tmp_path: Path) -> None:
    state = train(module(), Line(), OPTIONS, tmp_path)
    assert not same(state.module, state.average)
    assert not any(parameter.requires_grad for parameter in state.average.parameters())


def test_rate_rises_stays_and_falls_to_zero() -> None:
    options = Options(steps=100, peak=1.0, warmup=10, cooldown=50)
    assert rate(0, options) == pytest.approx(0.1)
    assert [rate(step, options) for step in (9, 49)] == [1.0, 1.0]
    assert rate(75, options) == pytest.approx(0.5)
    assert rate(100, options) == 0


def test_rounds_made_ahead_are_the_rounds() -> None:
    ahead, now = Rounds(Line(), ahead=True), Line()
    for number in (0, 1, 2, 5):
        for made, wanted in zip(ahead.batches(number), now.batches(number), strict=True):
            assert torch.equal(made[0], wanted[0])


def test_muon_in_float32_moves_a_matrix_as_in_bfloat16_but_for_its_rounding() -> None:
    steps = []
    for precise in (True, False):
        linear = nn.Linear(8, 8)
        nn.init.eye_(linear.weight)
        optimizer = make_optimizers(linear, Options(peak=0.1))[-1]
        linear.weight.grad = torch.diag(torch.arange(1.0, 9.0))
        with StaysFloat32() if precise else nullcontext():
            optimizer.step()
        steps.append((linear.weight.detach() - torch.eye(8)).diagonal())
    assert not torch.equal(*steps)
    torch.testing.assert_close(*steps, rtol=0.15, atol=1e-4)  # five products round one upon the other
    assert torch.ones(1).bfloat16().dtype == torch.bfloat16
