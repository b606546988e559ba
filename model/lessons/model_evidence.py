"""Measurements of a model's output, tokens, hidden states, heads and sizes, for the claims of lessons."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from model.arrays.types import Array
from model.lessons.claim_fields import ClaimFields, claim_trace, token_position
from model.measures.hidden_states import cosine_similarities
from model.measures.probabilities import probabilities
from model.measures.recurrence import build_layers, path_length, sequential_steps
from model.tokenization.text_layout import place_tokens, words
from model.trace.edits import Edits
from model.trace.lens import Lens


def output(lens: Lens, claim: ClaimFields) -> str:
    """The text that the model generates."""
    return claim_trace(lens, claim).output or ""


def same_output(lens: Lens, claim: ClaimFields) -> bool:
    """Whether the model generates the same text with and without the edits."""
    return output(lens, claim) == output(lens, {**claim, "edits": ""})


def source_words(lens: Lens, claim: ClaimFields) -> float:
    """Share of the words of the output that stand in the text, too."""
    trace = claim_trace(lens, claim)
    source, made = (
        {word for word, _ in words(place_tokens(trace.tokens[stack], text))}
        for stack, text in (("encoder", trace.text), ("decoder", trace.output or ""))
    )
    made = {word for word in made if any(map(str.isalnum, word))}
    return len(made & source) / max(len(made), 1)


def stack_tokens(lens: Lens, claim: ClaimFields) -> tuple[str, ...]:
    """The tokens of a `stack`."""
    return claim_trace(lens, claim).tokens[claim["stack"]].texts


def token_count(lens: Lens, claim: ClaimFields) -> int:
    """The number of tokens of a `stack`."""
    return len(stack_tokens(lens, claim))


def top_probability(lens: Lens, claim: ClaimFields) -> float:
    """Probability of the likeliest next token after `query`."""
    return float(probabilities(_prediction(lens, claim)[1]).max())


def guessed_when_hidden(lens: Lens, claim: ClaimFields) -> float:
    """Probability that the model gives the token at `query`, a position, while that is hidden."""
    trace = claim_trace(lens, claim)
    logits = lens.guess(claim["text"], claim["query"], Edits.parse(claim["edits"]))
    if logits is None:
        raise KeyError("the model guesses no hidden token")
    return float(probabilities(logits)[next(iter(trace.ids.values()))[claim["query"]]])


def predicted_token(lens: Lens, claim: ClaimFields) -> str:
    """The likeliest next token after `query`."""
    return _prediction(lens, claim)[0]


def _prediction(lens: Lens, claim: ClaimFields) -> tuple[str, Array]:
    """The predicted token after `query`, and the logits there. [vocab]"""
    trace = claim_trace(lens, claim)
    position = token_position(trace.tokens["decoder"], claim["query"])
    assert trace.predicted is not None
    assert trace.logits is not None
    return trace.predicted[position], trace.logits[position]


def next_token_probability(lens: Lens, claim: ClaimFields) -> float:
    """Probability that the model gave the token after `query`.

    Raises:
        KeyError: that token is not `next`.
    """
    trace = claim_trace(lens, claim)
    stack, ids = trace.tokens["decoder"], trace.ids["decoder"]
    position = token_position(stack, claim["query"])
    if stack.texts[position + 1] != claim["next"]:
        raise KeyError(f"{claim['query']!r} is followed by {stack.texts[position + 1]!r}")
    assert trace.logits is not None
    return float(probabilities(trace.logits[position])[ids[position + 1]])


def token_similarity(lens: Lens, claim: ClaimFields) -> float:
    """Cosine similarity of the hidden states of tokens `a` and `b` of a `stack` after `depth` layers (0: embedding)."""
    trace = claim_trace(lens, claim)
    positions = [token_position(trace.tokens[claim["stack"]], claim[name]) for name in "ab"]
    return float(cosine_similarities(trace.hidden_states[claim["stack"]][claim["depth"]])[*positions])


def embedding_similarity(lens: Lens, claim: ClaimFields) -> float:
    """Mean cosine similarity of hidden states after `depth` layers and embeddings, over a `stack` without specials."""
    trace = claim_trace(lens, claim)
    stack, states = trace.tokens[claim["stack"]], trace.hidden_states[claim["stack"]]
    pairs = [np.stack([states[0, i], states[claim["depth"], i]]) for i, s in enumerate(stack.special) if not s]
    return float(np.mean([cosine_similarities(pair)[0, 1] for pair in pairs]))


def added_share(lens: Lens, claim: ClaimFields) -> float:
    """Length of what a `box` of a `stack` and `layer` adds, as a share of the stream's length; median over tokens."""
    summary = claim_trace(lens, claim).block_summaries()[claim["stack"]]
    box = next(one for one in summary.layers[claim["layer"]] if one.kind == claim["box"])
    return float(np.median(box.share))


def active_neurons(lens: Lens, claim: ClaimFields) -> float:
    """Share of a feed-forward layer's activations that are above zero, over all tokens of a `stack`."""
    return float((claim_trace(lens, claim).neurons[claim["stack"]][claim["layer"]] > 0).mean())


def logit_lens_token(lens: Lens, claim: ClaimFields) -> str:
    """The likeliest token after `query` by the logit lens after `depth` layers."""
    likeliest = lens.logit_lens(claim["text"], claim["target"], Edits.parse(claim["edits"]))
    assert likeliest is not None
    position = token_position(claim_trace(lens, claim).tokens["decoder"], claim["query"])
    return lens.labels([int(likeliest[0][claim["depth"], position])])[0]


def answered_by_last_layer(lens: Lens, claim: ClaimFields) -> float:
    """Share of positions where only the last layer has the model's next token as its likeliest (logit lens)."""
    likeliest = lens.logit_lens(claim["text"], claim["target"], Edits.parse(claim["edits"]))
    assert likeliest is not None
    return float((likeliest[0][:-1] != likeliest[0][-1]).all(axis=0).mean())


def silencing_effect(lens: Lens, claim: ClaimFields) -> float:
    """Change of the model's predictions in bits when a head is silenced."""
    return float(_silencing_effects(lens, claim)[claim["kind"]][claim["layer"], claim["head"]])


def most_effective_head(lens: Lens, claim: ClaimFields) -> tuple[str, int, int]:
    """Kind, layer and head with the largest `silencing_effect`."""
    effects = _silencing_effects(lens, claim)
    kind = max(effects, key=lambda one: float(effects[one].max()))
    layer, head = np.unravel_index(effects[kind].argmax(), effects[kind].shape)
    return kind, int(layer), int(head)


def _silencing_effects(lens: Lens, claim: ClaimFields) -> Mapping[str, Array]:
    """The effect of each head in bits. kind -> [layer, head]"""
    from model.measures.heads.head_effects import head_effects

    return head_effects(lens, claim["text"], claim["target"])[0]


def position_similarity(lens: Lens, claim: ClaimFields) -> float:
    """Cosine similarity of the position encodings of positions `a` and `b`."""
    table = lens.positions().table
    assert table is not None
    return float(cosine_similarities(table)[claim["a"], claim["b"]])


def model_size(lens: Lens, claim: ClaimFields) -> int:
    """One size of the model, as `size` says: "parameters", "heads", "layers", "d_model", …"""
    trace = claim_trace(lens, claim)
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


def sequential_calls(lens: Lens, claim: ClaimFields) -> int:
    """Calls of an "rnn" or "attention" layer on `length` tokens: sequential "steps", or the longest "path"."""
    import torch

    with torch.no_grad():
        _, dependencies = build_layers()[claim["name"]](torch.zeros(claim["length"], 256))
    return {"steps": sequential_steps, "path": path_length}[claim["number"]](dependencies)
