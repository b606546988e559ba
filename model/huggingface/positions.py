"""The positional encoding of each stack of a Hugging Face model, measured on test passes instead of told by names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.huggingface import position_run
from model.huggingface.opened_model import stack_names
from model.huggingface.position_run import REACH, SHIFT, PositionedModel, PositionRun
from model.positions.rotary import find_rotation
from model.positions.scheme import PositionScheme, Rotation, table_error
from model.positions.sinusoidal import columns, find_layout, frequencies
from model.trace.recorded_layer import RecordedLayer

SAME = 1e-4  # two numbers that a model computes from equal tokens, as a share of the largest: rounding alone
EDGE = 2  # moments at the ends of a sound, which convolutions fill up with silence
ROUGH = 2e-2  # the same in half precision


@torch.no_grad()
def measure_schemes(lens: PositionedModel) -> dict[str, PositionScheme]:
    """Stack -> its positional encoding: what is added to embeddings, turns queries and keys, or is added to scores.

    A model reads one token over and over, and a second time another one. A table is what a module puts out that does
    not depend on the token and without which the first layer is fed otherwise; a rotation is one that turns the query
    at one place into that at another; a bias is what scores of equal tokens differ by.
    """
    places = min(2 * REACH + 2, lens.max_tokens)
    first, second = position_run.plain_ids(lens)
    inputs = position_run.equal_tokens(lens, first, places)
    run = position_run.run(lens, inputs, watch=True)
    other = position_run.run(lens, position_run.equal_tokens(lens, second, places), watch=True)
    tables = _added_tables(lens, run, other, inputs)
    schemes = {}
    for stack in stack_names(lens):
        found = tables.get(stack) or _constant_table(lens.module, run.states[stack])
        if found is None:
            found = _of_attention(lens, stack, run, other, first)
        edge = EDGE if stack == "encoder" and "input_ids" not in inputs else 0
        schemes[stack] = replace(found, error=_error(found, [*run.inputs, run.states[stack]], edge))
    return schemes


def _error(scheme: PositionScheme, sums: Sequence[Array], edge: int = 0) -> float | None:
    """By how much a table differs from what equal tokens differ by where the embeddings of a pass are summed.

    Args:
        sums: what modules outside the layers were given, and what the first layer was given: the sum is one of them,
            before or without a norm. [token, width] each
        edge: how many places at each end are left out, as convolutions reach over it there.
    """
    if scheme.table is None:
        return None
    cut = slice(edge, -1 - edge)  # the last token may be an end mark
    errors = (table_error(scheme.table[edge:], found[cut]) for found in sums)
    return min((error for error in errors if error is not None), default=None)


def _tolerance(lens: PositionedModel) -> float:
    return 1e-3 if next(lens.module.parameters()).dtype == torch.float32 else ROUGH


def _added_tables(
    lens: PositionedModel, run: PositionRun, other: PositionRun, inputs: Mapping[str, Tensor]
) -> dict[str, PositionScheme]:
    """Stack -> the table that is added to its embeddings, for stacks that have one."""
    found: dict[str, PositionScheme] = {}
    modules = dict(lens.module.named_modules())
    for name, rows in run.outputs.items():
        again = other.outputs.get(name)
        tells_places = len(rows) > 1 and np.abs(rows[:-1] - rows[0]).max() > 0
        if again is None or not tells_places or np.abs(rows - again)[:-1].max() > 0:
            continue
        without = position_run.run(lens, inputs, silent=name)
        for stack, states in run.states.items():
            # What RoFormer rotates by comes out of a module, too, but does not reach the first layer's input.
            if len(states) == len(rows) and np.abs(states - without.states[stack]).max() > SAME * np.abs(states).max():
                found.setdefault(stack, _table_scheme(rows, modules[name]))
    return found


def _table_scheme(rows: Array, part: nn.Module) -> PositionScheme:
    """The scheme of a table of which a pass used some rows; with all rows from there on, where the module has them."""
    table, first_row = rows.astype(np.float64), 0
    weight = getattr(part, "weight", None)
    if not isinstance(weight, Tensor):
        weight = getattr(part, "weights", None)
    if isinstance(weight, Tensor) and weight.dim() == 2 and weight.shape[1] == rows.shape[1]:
        whole = to_numpy(weight)
        starts = [start for start in range(len(whole) - len(rows) + 2) if np.array_equal(whole[start], rows[0])]
        if starts:
            first_row = starts[0]
            table = whole[first_row:].astype(np.float64)
    layout = find_layout(rows)
    if layout is None:
        return PositionScheme("learned", table=table, first_row=first_row)
    name, first_row = layout
    return PositionScheme(
        "sinusoidal", table=table, first_row=first_row, rotations=(columns(rows.shape[1], layout=name),)
    )


def _constant_table(module: nn.Module, states: Array) -> PositionScheme | None:
    """The scheme of a constant table by whose rows the first layer's inputs differ; None where there is none."""
    steps = (states - states[0])[:-1].astype(np.float64)
    if np.abs(steps).max() <= SAME * np.abs(states).max():
        return None
    for table in position_run.constants(module.modules()):
        if table.shape[1] == states.shape[1] and len(table) >= len(steps):
            rows = table[: len(steps)].astype(np.float64)
            if np.abs(rows - rows[0] - steps).max() < 1e-3 * np.abs(rows).max():
                layout = find_layout(rows)
                kind, first = ("learned", 0) if layout is None else ("sinusoidal", layout[1])
                rotations = () if layout is None else (columns(table.shape[1], layout=layout[0]),)
                return PositionScheme(kind, table=table.astype(np.float64), first_row=first, rotations=rotations)
    return PositionScheme("unseen")


def _of_attention(
    lens: PositionedModel, stack: str, run: PositionRun, other: PositionRun, token: int
) -> PositionScheme:
    """How the attention of a stack whose embeddings are told no positions knows them."""
    layers: Sequence[RecordedLayer] = run.layers.get(stack, ())
    if not layers:
        return PositionScheme("hidden")
    bias = _bias(layers, other.layers[stack])
    if bias is not None:
        return bias
    if not layers[0].shape[3]:  # weights alone
        flat = _bias_of_weights(layers[0], other.layers[stack][0])
        if flat is None:
            return _rotation_of_weights(lens, stack, token)
        return flat if flat.bias is not None and flat.bias.any() else PositionScheme("none")
    return _rotations(lens, stack, layers, token)


def _rotation_of_weights(lens: PositionedModel, stack: str, token: int) -> PositionScheme:
    """The frequencies of a rotation, from the weights of equal tokens: the logarithms are waves of the distance.

    Which dimensions belong to a pair does not show in weights.
    """
    width = lens.module.config.get_text_config().hidden_size // lens.module.config.get_text_config().num_attention_heads
    kept = _kept_frequencies(lens.module)
    candidates = [*kept, *(frequencies(width // part) for part in (1, 2, 4) if width // part >= 2)]
    places = min(max(4 * width, 2 * REACH), 256, lens.max_tokens)
    layer = position_run.run(lens, position_run.equal_tokens(lens, token, places)).layers[stack][0]
    found = _by_distance(_relative_logs(layer), reach=places)
    unknown = PositionScheme("unseen" if found is None else "relative")  # of equal tokens, the distance alone counts
    for one in candidates if found is not None else ():
        logs, distances = found  # type: ignore[misc]
        angle = np.outer(distances, one)
        waves = np.concatenate([np.cos(angle) - 1, np.sin(angle)], axis=1)  # [distance, 2 · pair]
        if 2 * waves.shape[1] > len(distances):
            continue
        heights = np.linalg.lstsq(waves, logs.T, rcond=1e-9)[0]
        if np.abs(waves @ heights - logs.T).max() < 1e-3 * np.ptp(logs):
            return PositionScheme("rotary", rotations=(Rotation(one),))
    return unknown


def _rotations(lens: PositionedModel, stack: str, layers: Sequence[RecordedLayer], token: int) -> PositionScheme:
    """Which layers rotate queries and keys, and by which frequencies."""
    kept = _kept_frequencies(lens.module)
    places = layers[0].shape[1] - 1
    turns = np.arange(1, places)
    found: dict[int, Rotation] = {}
    for number, layer in enumerate(layers):
        query, key = layer.array("query")[:, :places], layer.array("key")[:, :places]
        pairs = [(query[:, :1], query[:, 1:]), (key[:, :1], key[:, 1:])]
        rotation = _rotation_of(pairs, turns, kept, _tolerance(lens))
        if rotation is not None:
            found[number] = rotation
    if len(found) < len(layers) and position_run.takes_positions(lens.module):
        # Layers that mix tokens otherwise (Mamba, convolutions, sinks) have other states at each place: the same
        # text further on shows what positions alone change.
        inputs = position_run.equal_tokens(lens, token, layers[0].shape[1])
        moved = position_run.run(lens, inputs, shift=SHIFT).layers[stack]
        for number, (layer, further) in enumerate(zip(layers, moved, strict=True)):
            if number not in found:
                pairs = [(layer.array(name), further.array(name)) for name in ("query", "key")]
                rotation = _rotation_of(pairs, np.full(layer.shape[1], SHIFT), kept, _tolerance(lens))
                if rotation is not None:
                    found[number] = rotation
    return _rotary_scheme(found, len(layers), kept)


def _rotation_of(
    pairs: Sequence[tuple[Array, Array]], turns: np.ndarray, kept: Sequence[Array], tolerance: float
) -> Rotation | None:
    """The rotation that turns both queries and keys; None where there is no such one."""
    width = pairs[0][0].shape[-1]
    candidates = [*kept, *(frequencies(width // part) for part in (1, 2, 4) if width // part >= 2)]
    found = find_rotation(*pairs[0], turns, candidates, tolerance)
    if found is None:
        return None
    again = find_rotation(*pairs[1], turns, [found.frequencies], tolerance) if len(found.frequencies) else found
    return found if again is not None else None


def _rotary_scheme(found: Mapping[int, Rotation], count: int, kept: Sequence[Array]) -> PositionScheme:
    """The scheme of a stack whose layers rotate as found; layers that are not in `found` could not be told."""
    still = tuple(layer for layer, rotation in found.items() if not len(rotation.frequencies))
    groups: list[Rotation] = []
    for layer, rotation in sorted(found.items()):
        if layer in still:
            continue
        for i, one in enumerate(groups):
            if np.array_equal(one.frequencies, rotation.frequencies) and np.array_equal(one.pairs, rotation.pairs):  # type: ignore[arg-type]
                groups[i] = Rotation(one.frequencies, one.pairs, (*one.layers, layer))
                break
        else:
            groups.append(Rotation(rotation.frequencies, rotation.pairs, (layer,)))
    if groups:
        return PositionScheme("rotary", rotations=tuple(groups), unrotated=still)
    if len(still) == count:
        return PositionScheme("none")
    kept = [one[one > 0] for one in kept]
    return PositionScheme("rotary", rotations=tuple(map(Rotation, kept))) if kept else PositionScheme("unseen")


def _kept_frequencies(module: nn.Module) -> list[Array]:
    """The tables of rotary frequencies that a model keeps, one each, such as a local and a global one. [pair] each"""
    kept: list[Array] = []
    for name, buffer in module.named_buffers():
        last = name.rsplit(".", 1)[-1]
        if last.endswith("inv_freq") and "original" not in last and buffer.dim() == 1:
            table = to_numpy(buffer).astype(np.float64)
            if len(table) and not any(np.array_equal(table, one) for one in kept):
                kept.append(table)
    return kept


def _bias(layers: Sequence[RecordedLayer], again: Sequence[RecordedLayer]) -> PositionScheme | None:
    """The bias that calls added to their scores; None where they added none that depends on the distance alone."""
    if not layers[0].shape[3]:
        return None
    found = []
    for one, two in zip(layers, again, strict=True):
        bias = one.array("bias")
        if not bias.any() or np.abs(bias - two.array("bias"))[:, :-1, :-1].max() > SAME * np.abs(bias).max():
            return None
        found.append(_by_distance(np.where(one.array("allowed"), bias, np.nan)))
    if any(one is None for one in found):
        return None
    tables = np.stack([one[0] for one in found if one is not None])
    distances = found[0][1]  # type: ignore[index]
    differ = bool(np.abs(tables - tables[0]).max() > SAME * np.abs(tables).max())
    return PositionScheme("bias", bias=tables[0], layer_biases=tables if differ else None, distances=distances)


def _bias_of_weights(layer: RecordedLayer, again: RecordedLayer) -> PositionScheme | None:
    """The bias read off weights of equal tokens, relative to distance 0; None where it depends on the token, too."""
    tables = [_by_distance(_relative_logs(one)) for one in (layer, again)]
    if any(table is None for table in tables):
        return None
    (bias, distances), (second, _) = tables  # type: ignore[misc]
    if np.abs(bias - second).max() > 1e-3 * np.abs(bias).max() + 1e-5:
        return None
    bias[np.abs(bias) < 1e-5] = 0
    return PositionScheme("bias", bias=bias, distances=distances)


def _relative_logs(layer: RecordedLayer) -> np.ndarray:
    """Logarithms of weights relative to a token's own: differences of scores; NaN where masked. [head, query, key]"""
    with np.errstate(divide="ignore"):
        logs = np.log(layer.weights().astype(np.float64))
    logs[np.isneginf(logs)] = np.nan
    relative: np.ndarray = logs - np.diagonal(logs, axis1=1, axis2=2)[..., None]
    return relative


def _by_distance(scores: np.ndarray, reach: int = REACH) -> tuple[np.ndarray, np.ndarray] | None:
    """Scores by the distance from query to key, and the distances; None where more than the distance counts.

    Args:
        scores: NaN where the mask forbids. [head, query, key]

    Returns:
        [head, distance], [distance]
    """
    scores = scores[:, :-1, :-1]
    limit = 1e-3 * np.nanmax(np.abs(scores)) + 1e-5
    values, distances = [], []
    for distance in range(-reach, reach + 1):
        line = np.diagonal(scores, distance, 1, 2) if abs(distance) < scores.shape[1] else np.empty((0, 0))
        if line.size == 0 or np.isnan(line).any():
            continue
        if np.ptp(line, axis=1).max() > limit:
            return None
        values.append(line[:, 0])
        distances.append(distance)
    return (np.stack(values, axis=1), np.array(distances)) if values else None
