"""Greedy decoding, sampling (temperature, top-k, top-p) and beam search.

Works for every model: all it needs is a function from the ids so far to the logits of the next token.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from model.trace.decoding import BeamNode, Decoding, DecodingResult
from model.turns import rest

if TYPE_CHECKING:
    from torch import Tensor


NextLogits = Callable[[Sequence[Sequence[int]]], "Tensor"]  # prefixes of equal length -> logits [prefix, vocab]


def filtered_probabilities(logits: Tensor, decoding: Decoding) -> Tensor:
    """Probabilities after temperature, top-k and top-p, each applied to what the one before left. [..., vocab]

    Top-p keeps the fewest likeliest tokens that together reach p (Holtzman et al. 2020).
    """
    import torch

    logits = logits / decoding.temperature
    if 0 < decoding.top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(decoding.top_k).values[..., -1:], -torch.inf)
    if decoding.top_p < 1:
        ascending, order = logits.sort(dim=-1)
        removed = ascending.softmax(-1).cumsum(-1) <= 1 - decoding.top_p
        removed[..., -1] = False
        logits = logits.masked_fill(removed.scatter(-1, order, removed), -torch.inf)
    return logits.softmax(-1)


def decode(
    next_logits: NextLogits,
    prefix: Sequence[int],
    end_ids: Collection[int],
    banned_ids: Collection[int],
    decoding: Decoding,
) -> DecodingResult:
    """The continuation of a prefix.

    Args:
        next_logits: the model.
        end_ids: ids that end a text; banned_ids: ids that are never generated.
    """
    import torch

    def allowed_logits(prefixes: Sequence[Sequence[int]]) -> Tensor:
        rest()  # a step is a slice: who waits for the model need not wait for the whole text
        logits = next_logits(prefixes).float()
        logits[:, list(banned_ids)] = -torch.inf
        return logits

    with torch.inference_mode():
        method = _beam_search if decoding.method == "beam" else _greedy_or_sample
        return method(allowed_logits, prefix, end_ids, decoding)


def _greedy_or_sample(
    next_logits: NextLogits, prefix: Sequence[int], end_ids: Collection[int], decoding: Decoding
) -> DecodingResult:
    """One text, a token at a time: the likeliest, or one that is drawn."""
    import torch

    generator = torch.Generator().manual_seed(decoding.seed)
    ids: list[int] = []
    for _ in range(decoding.max_new_tokens):
        logits = next_logits([[*prefix, *ids]])[0].cpu()
        if decoding.method == "greedy":
            token = int(logits.argmax())
        else:
            token = int(torch.multinomial(filtered_probabilities(logits, decoding), 1, generator=generator))
        if token in end_ids:
            return DecodingResult(tuple(ids), ended=True)
        ids.append(token)
    return DecodingResult(tuple(ids), ended=False)


def _beam_search(
    next_logits: NextLogits, prefix: Sequence[int], end_ids: Collection[int], decoding: Decoding
) -> DecodingResult:
    """Beam search as Hugging Face's `generate` with its defaults: final scores are means over the tokens."""
    import torch

    tree: list[BeamNode] = []
    live: list[tuple[float, int, list[int]]] = [(0.0, -1, [])]  # score, node, ids
    finished: list[tuple[float, int, list[int]]] = []
    for depth in range(1, decoding.max_new_tokens + 1):
        steps = next_logits([[*prefix, *ids] for *_, ids in live]).log_softmax(-1).cpu()
        total = steps + torch.tensor([score for score, *_ in live])[:, None]
        num_candidates = min(max(2, 1 + len(end_ids)) * decoding.beams, total.numel())
        scores, cells = total.flatten().topk(num_candidates)
        survivors: list[tuple[float, int, list[int]]] = []
        for rank, (score, cell) in enumerate(zip(scores.tolist(), cells.tolist(), strict=True)):
            beam, token = divmod(cell, steps.shape[1])
            _, parent, ids = live[beam]
            complete = token in end_ids or depth == decoding.max_new_tokens
            fate = "dropped"
            if complete and rank < decoding.beams and score > -torch.inf:
                fate = "ended"
                finished.append((score / depth, len(tree), ids if token in end_ids else [*ids, token]))
            elif not complete and len(survivors) < decoding.beams and score > -torch.inf:
                fate = "kept"
                survivors.append((score, len(tree), [*ids, token]))
            tree.append(BeamNode(parent, depth, token, score, fate))
        finished = sorted(finished, key=lambda hypothesis: -hypothesis[0])[: decoding.beams]
        live = survivors
        if not live or (len(finished) == decoding.beams and live[0][0] / depth <= finished[-1][0]):
            break
    _, node, ids = max(finished, key=lambda hypothesis: hypothesis[0])
    return DecodingResult(tuple(ids), tree[node].token in end_ids, tuple(tree))
