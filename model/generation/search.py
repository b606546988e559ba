"""Choosing the next token, again and again: greedy, sampling (temperature, top-k, top-p) and beam search.

Works for every model: all it needs is a function from what was written so far to the scores of what may come next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from model.generation.decoding import Decoded, Decoding, Node

if TYPE_CHECKING:
    from torch import Tensor


Scores = Callable[[Sequence[Sequence[int]]], "Tensor"]  # prefixes of equal length -> logits [prefix, vocab]


def filtered(logits: Tensor, how: Decoding) -> Tensor:
    """Probabilities after temperature, top-k and top-p, each over what the one before left. [..., vocab]

    Top-p keeps the fewest likeliest tokens that together reach p (Holtzman et al. 2020).
    """
    import torch

    logits = logits / how.temperature
    if 0 < how.top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(how.top_k).values[..., -1:], -torch.inf)
    if how.top_p < 1:
        rising, order = logits.sort(dim=-1)
        out = rising.softmax(-1).cumsum(-1) <= 1 - how.top_p
        out[..., -1] = False
        logits = logits.masked_fill(out.scatter(-1, order, out), -torch.inf)
    return logits.softmax(-1)


def decode(
    scores: Scores, start: Sequence[int], ends: Collection[int], never: Collection[int], how: Decoding
) -> Decoded:
    """Write on from `start`.

    Args:
        scores: what the model thinks comes next.
        ends: ids that end a text; never: ids that are not to be written.
    """

    import torch

    def next_logits(prefixes: Sequence[Sequence[int]]) -> Tensor:
        logits = scores(prefixes).float()
        logits[:, list(never)] = -torch.inf
        return logits

    with torch.inference_mode():
        if how.method == "beam":
            return _beam(next_logits, start, ends, how)
        return _one(next_logits, start, ends, how)


def _one(scores: Scores, start: Sequence[int], ends: Collection[int], how: Decoding) -> Decoded:
    import torch

    drawing = torch.Generator().manual_seed(how.seed)
    made: list[int] = []
    for _ in range(how.longest):
        logits = scores([[*start, *made]])[0].cpu()
        if how.method == "greedy":
            step = int(logits.argmax())
        else:
            step = int(torch.multinomial(filtered(logits, how), 1, generator=drawing))
        if step in ends:
            return Decoded(tuple(made), ended=True)
        made.append(step)
    return Decoded(tuple(made), ended=False)


def _beam(scores: Scores, start: Sequence[int], ends: Collection[int], how: Decoding) -> Decoded:
    """Beam search as Hugging Face's `generate` does it, with its defaults: scores are means over the tokens."""
    import torch

    tree: list[Node] = []
    live: list[tuple[float, int, list[int]]] = [(0.0, -1, [])]  # score, node, ids
    finished: list[tuple[float, int, list[int]]] = []
    for depth in range(1, how.longest + 1):
        steps = scores([[*start, *ids] for *_, ids in live]).log_softmax(-1).cpu()
        total = steps + torch.tensor([score for score, *_ in live])[:, None]
        looked_at = min(max(2, 1 + len(ends)) * how.beams, total.numel())
        values, places = total.flatten().topk(looked_at)
        following: list[tuple[float, int, list[int]]] = []
        for rank, (score, place) in enumerate(zip(values.tolist(), places.tolist(), strict=True)):
            beam, token = divmod(place, steps.shape[1])
            _, parent, ids = live[beam]
            over = token in ends or depth == how.longest
            fate = "dropped"
            if over and rank < how.beams and score > -torch.inf:
                fate = "ended"
                finished.append((score / depth, len(tree), ids if token in ends else [*ids, token]))
            elif not over and len(following) < how.beams and score > -torch.inf:
                fate = "kept"
                following.append((score, len(tree), [*ids, token]))
            tree.append(Node(parent, depth, token, score, fate))
        finished = sorted(finished, key=lambda one: -one[0])[: how.beams]
        live = following
        if not live or (len(finished) == how.beams and live[0][0] / depth <= finished[-1][0]):
            break
    _, node, ids = max(finished, key=lambda one: one[0])
    return Decoded(tuple(ids), tree[node].token in ends, tuple(tree))
