"""What a lesson can say about the model: each function measures one sort of claim.

A claim names what it needs (text, target, edits, kind, layer, head, query, key …); tokens by text or by place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from model.arrays.types import Array
from model.assets import ASSETS
from model.maps.entropy import entropy_bits
from model.measures.head_roles import role_scores, special_mass
from model.measures.head_steps import head_steps
from model.measures.hidden_states import cosine_similarities
from model.measures.probabilities import probabilities
from model.measures.recurrence import layers, path, steps
from model.trace.attention import Attention
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.tokens import Tokens
from model.trace.trace import Trace

Claim = Mapping[str, Any]


def _trace(lens: Lens, claim: Claim) -> Trace:
    return lens.trace(claim["text"], claim["target"], Edits.parse(claim["edits"]))


def _attention(lens: Lens, claim: Claim) -> Attention:
    return _trace(lens, claim).attentions[claim["kind"]]


def _place(tokens: Tokens, wanted: str | int) -> int:
    """The place of a token: the number itself, or the first that reads so."""
    if isinstance(wanted, int):
        return wanted
    if wanted not in tokens.texts:
        raise KeyError(f"{wanted!r} is not among {tokens.texts}")
    return tokens.texts.index(wanted)


def _row(lens: Lens, claim: Claim) -> tuple[Attention, Array]:
    attention = _attention(lens, claim)
    return attention, attention.weights(claim["layer"])[claim["head"], _place(attention.queries, claim["query"])]


def weight(lens: Lens, claim: Claim) -> float:
    """How hard `query` looks at `key`."""
    attention, row = _row(lens, claim)
    return float(row[_place(attention.keys, claim["key"])])


def strongest(lens: Lens, claim: Claim) -> str:
    """The token that `query` looks at hardest."""
    attention, row = _row(lens, claim)
    return attention.key_tokens[int(row.argmax())]


def strongest_anywhere(lens: Lens, claim: Claim) -> list[str]:
    """What `query` looks at hardest in each head of all layers."""
    attention = _attention(lens, claim)
    query = _place(attention.queries, claim["query"])
    best = [attention.weights(layer)[:, query].argmax(-1) for layer in range(attention.num_layers)]
    return [attention.key_tokens[int(key)] for row in best for key in row]


def entropy(lens: Lens, claim: Claim) -> float:
    """How spread a row is, in bits; the mean over all rows where no `query` is named."""
    if "query" in claim:
        return float(entropy_bits(_row(lens, claim)[1]))
    return float(entropy_bits(_attention(lens, claim).weights(claim["layer"])[claim["head"]]).mean())


def row_sum(lens: Lens, claim: Claim) -> float:
    """The sum of a row, to five places."""
    return round(float(_row(lens, claim)[1].sum()), 5)


def ahead(lens: Lens, claim: Claim) -> float:
    """The most that any head of any layer gives to a later token; 0 under a causal mask."""
    attention = _attention(lens, claim)
    return max(float(np.triu(attention.weights(i), 1).max()) for i in range(attention.num_layers))


def forbidden(lens: Lens, claim: Claim) -> int:
    """How many cells the mask forbids."""
    return int((~_attention(lens, claim).mask(claim["layer"])).sum())


def sinks(lens: Lens, claim: Claim) -> float:
    """Share of a head's attention that goes to tokens that nobody typed."""
    return special_mass(_attention(lens, claim), claim["layer"], claim["head"])


def role(lens: Lens, claim: Claim) -> float:
    """Mean weight on the "previous", "same" or "next" token."""
    return float(role_scores(_attention(lens, claim), claim["layer"])[claim["role"]][claim["head"]])


def output(lens: Lens, claim: Claim) -> str:
    """What the model writes."""
    return _trace(lens, claim).output or ""


def same_output(lens: Lens, claim: Claim) -> bool:
    """Whether the model writes the same as without the edits."""
    return output(lens, claim) == output(lens, {**claim, "edits": ""})


def tokens(lens: Lens, claim: Claim) -> tuple[str, ...]:
    """The tokens of a `stack`."""
    return _trace(lens, claim).tokens[claim["stack"]].texts


def count(lens: Lens, claim: Claim) -> int:
    """How many tokens a `stack` has."""
    return len(tokens(lens, claim))


def chance(lens: Lens, claim: Claim) -> float:
    """How likely the likeliest next token is after `query`."""
    return float(probabilities(_next(lens, claim)[1]).max())


def next_token(lens: Lens, claim: Claim) -> str:
    """The likeliest token after `query`."""
    return _next(lens, claim)[0]


def _next(lens: Lens, claim: Claim) -> tuple[str, Array]:
    trace = _trace(lens, claim)
    place = _place(trace.tokens["decoder"], claim["query"])
    assert trace.predicted is not None
    assert trace.logits is not None
    return trace.predicted[place], trace.logits[place]


def likely(lens: Lens, claim: Claim) -> float:
    """How likely the token that follows `query` was; `next` says which it is."""
    trace = _trace(lens, claim)
    stack, ids = trace.tokens["decoder"], trace.ids["decoder"]
    place = _place(stack, claim["query"])
    if stack.texts[place + 1] != claim["next"]:
        raise KeyError(f"{claim['query']!r} is followed by {stack.texts[place + 1]!r}")
    assert trace.logits is not None
    return float(probabilities(trace.logits[place])[ids[place + 1]])


def likeness(lens: Lens, claim: Claim) -> float:
    """Cosine of the angle between tokens `a` and `b` of a `stack`, `depth` layers up (0 is the embedding)."""
    trace = _trace(lens, claim)
    places = [_place(trace.tokens[claim["stack"]], claim[name]) for name in "ab"]
    return float(cosine_similarities(trace.hidden_states[claim["stack"]][claim["depth"]])[*places])


def kept(lens: Lens, claim: Claim) -> float:
    """Mean cosine of the tokens that somebody typed or the model wrote with their own embeddings, `depth` layers up."""
    trace = _trace(lens, claim)
    stack, states = trace.tokens[claim["stack"]], trace.hidden_states[claim["stack"]]
    pairs = [np.stack([states[0, i], states[claim["depth"], i]]) for i, s in enumerate(stack.special) if not s]
    return float(np.mean([cosine_similarities(pair)[0, 1] for pair in pairs]))


def firing(lens: Lens, claim: Claim) -> float:
    """Share of a feed-forward layer's neurons that are above zero."""
    return float((_trace(lens, claim).neurons[claim["stack"]][claim["layer"]] > 0).mean())


def lens_token(lens: Lens, claim: Claim) -> str:
    """What the model would say after `query` if the layer at `depth` were its last."""
    words = lens.layer_words(claim["text"], claim["target"], Edits.parse(claim["edits"]))
    assert words is not None
    place = _place(_trace(lens, claim).tokens["decoder"], claim["query"])
    return lens.labels([int(words[0][claim["depth"], place])])[0]


def arithmetic(lens: Lens, claim: Claim) -> float:
    """A number of the formula for one cell: "dots", "scaled" or "weights", to two places."""
    attention = _attention(lens, claim)
    work = head_steps(attention, claim["layer"], claim["head"], _place(attention.queries, claim["query"]))
    return round(float(getattr(work, claim["number"])[_place(attention.keys, claim["key"])]), 2)


def same_as_value(lens: Lens, claim: Claim) -> float:
    """Cosine of the angle between a head's output for `query` and the value of `key`."""
    attention = _attention(lens, claim)
    work = head_steps(attention, claim["layer"], claim["head"], _place(attention.queries, claim["query"]))
    return float(cosine_similarities(np.stack([work.output, work.values[_place(attention.keys, claim["key"])]]))[0, 1])


def value_size(lens: Lens, claim: Claim) -> float:
    """How long the value of `key` is, as a share of the mean length of the other values."""
    attention = _attention(lens, claim)
    sizes = np.linalg.norm(attention.value(claim["layer"])[claim["head"]], axis=-1)
    place = _place(attention.keys, claim["key"])
    return float(sizes[place] / np.delete(sizes, place).mean())


def matters(lens: Lens, claim: Claim) -> float:
    """How far what the model says moves when a head is silenced, in bits."""
    return float(_effects(lens, claim)[claim["kind"]][claim["layer"], claim["head"]])


def matters_most(lens: Lens, claim: Claim) -> tuple[str, int, int]:
    """The head whose silence moves most of all what the model says: kind, layer, head."""
    effects = _effects(lens, claim)
    kind = max(effects, key=lambda one: float(effects[one].max()))
    layer, head = np.unravel_index(effects[kind].argmax(), effects[kind].shape)
    return kind, int(layer), int(head)


def _effects(lens: Lens, claim: Claim) -> Mapping[str, Array]:
    from model.measures.silencing import head_effects

    return head_effects(lens, claim["text"], claim["target"])[0]


def _alignment() -> list[dict[str, Any]]:
    """Alignment of each cross-attention head of the bundled model, as `model.translator.scoring` measured it."""
    found: list[dict[str, Any]] = json.loads((ASSETS / "en-fr" / "scores.json").read_text())["alignment"]
    return found


def aligned(lens: Lens, claim: Claim) -> float:
    """For which share of words a head looks hardest at the partner of the word fed in."""
    where = (claim["layer"], claim["head"])
    return next(float(one["fed_in"]) for one in _alignment() if (one["layer"], one["head"]) == where)


def best_aligner(lens: Lens, claim: Claim) -> tuple[int, int]:
    """The layer and head for which that share is largest."""
    best = max(_alignment(), key=lambda one: float(one["fed_in"]))
    return best["layer"], best["head"]


def near_places(lens: Lens, claim: Claim) -> float:
    """Cosine of the angle between what two places add to their tokens."""
    table = lens.positions().table
    assert table is not None
    return float(cosine_similarities(table)[claim["a"], claim["b"]])


def shape(lens: Lens, claim: Claim) -> int:
    """A size of the model: "parameters", "heads", "layers", "d_model", "head_dim", "vocab" or "neurons"."""
    trace = _trace(lens, claim)
    attention = next(iter(trace.attentions.values()))
    sizes: Mapping[str, Callable[[], int]] = {
        "parameters": lambda: sum(one.numel() for one in lens.module.parameters()),  # type: ignore[attr-defined]
        "heads": lambda: sum(layers * heads for layers, heads in lens.heads.values()),
        "heads_per_layer": lambda: attention.num_heads,
        "layers": lambda: attention.num_layers,
        "head_dim": lambda: attention.head_dim,
        "d_model": lambda: next(iter(trace.hidden_states.values())).shape[-1],
        "vocab": lambda: 0 if trace.logits is None else trace.logits.shape[-1],
        "neurons": lambda: next(iter(trace.neurons.values())).shape[-1],
    }
    return sizes[claim["size"]]()


def counted(lens: Lens, claim: Claim) -> int:
    """Calls of a layer ("rnn", "attention") on a text of `length`: "steps" one after another, or the longest "path"."""
    import torch

    with torch.no_grad():
        _, needs = layers()[claim["name"]](torch.zeros(claim["length"], 256))
    return {"steps": steps, "path": path}[claim["number"]](needs)


SORTS: Mapping[str, Callable[[Lens, Claim], Any]] = {
    one.__name__: one
    for one in (
        weight, strongest, strongest_anywhere, entropy, row_sum, ahead, forbidden, sinks, role, output, same_output,
        tokens, count, chance, next_token, likely, likeness, kept, firing, lens_token, arithmetic, same_as_value,
        value_size, matters, matters_most, aligned, best_aligner, near_places, shape, counted,
    )
}  # fmt: skip
