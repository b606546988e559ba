"""What the head of a Hugging Face model answers: words, classes of a text or of its tokens, a span, or states alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

WORDS, CLASS, TOKEN_CLASS, SPAN, STATES = "words", "class", "token_class", "span", "states"
HEADS = {
    "ForSequenceClassification": CLASS,
    "ForTokenClassification": TOKEN_CLASS,
    "ForQuestionAnswering": SPAN,
}
Classes = list[tuple[str, float]]  # label and probability


def head_kind(module: Any) -> str:
    """The kind of head of a model, by the name of its class; `STATES` where it has none."""
    name = type(module).__name__
    kind = next((kind for ending, kind in HEADS.items() if name.endswith(ending)), None)
    if kind:
        return kind
    return WORDS if module.get_output_embeddings() is not None else STATES


def word_logits(result: Any) -> Tensor | None:
    """Scores of words in the library's output object, [batch, token, vocab]; None where it has no such head."""
    for name in ("logits", "prediction_logits"):
        found: Tensor | None = getattr(result, name, None)
        if found is not None:
            return found
    return None


def answer(result: Any) -> Tensor:
    """What a pass answers, for comparing two passes: scores of a head, else the last states. [batch, token or 1, …]"""
    if getattr(result, "start_logits", None) is not None:
        return torch.stack([result.start_logits, result.end_logits], dim=-1)
    logits = word_logits(result)
    if logits is None:
        states: Tensor | None = getattr(result, "last_hidden_state", None)
        return result.hidden_states[-1] if states is None else states
    return logits if logits.dim() == 3 else logits[:, None]


def classes(kind: str, scores: Tensor, config: Any, tokens: tuple[str, ...]) -> Classes | None:
    """Labels and probabilities of one text, likeliest first; one a token for classes of tokens; None for other heads.

    Args:
        kind: of head; scores: its answer for this text. [token or 1, class], of a span [token, 2]
        config: of the model, with `id2label`; tokens: labels of the real tokens.
    """
    if kind == SPAN:
        begin, end = scores[: len(tokens)].float().softmax(dim=0).T
        pairs = torch.triu(begin[:, None] * end[None, :])
        place = int(pairs.argmax())
        first, last = divmod(place, len(tokens))
        return [(" ".join(tokens[first : last + 1]), float(pairs[first, last]))]
    if kind not in (CLASS, TOKEN_CLASS):
        return None
    several = getattr(config, "problem_type", None) == "multi_label_classification"
    shares = scores.float().sigmoid() if several else scores.float().softmax(dim=-1)
    if kind == TOKEN_CLASS:
        best = shares[: len(tokens)].max(dim=-1)
        return [(str(config.id2label[int(i)]), float(p)) for p, i in zip(best.values, best.indices, strict=True)]
    order = shares[0].argsort(descending=True)
    return [(str(config.id2label[int(i)]), float(shares[0, i])) for i in order]
