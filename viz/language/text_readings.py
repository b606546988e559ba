"""Sentences on one token of a text: what it looks at, and what looks at it; their templates for the browser."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from viz.language.messages import escape_markdown, say

NAMED = 3  # tokens that a sentence names
LEAST = 0.02  # weights below are not named


def focus_reading(
    row: np.ndarray, column: np.ndarray, rests: np.ndarray, names: Sequence[Sequence[str]], token: int
) -> str:
    """Sentences on what one token looks at, and what looks at it.

    Args:
        row: weights of the token on every key. [key]
        column: weights of every query on the token; empty where the two are different texts.
        rests: keys where attention rests, which are named by their sum. [key]
        names: of the queries, and of the keys.
        token: position of the token among the queries.
    """
    queries, keys = names
    away = np.where(rests, 0.0, row)
    parts = [say("text.looks", token=escape_markdown(queries[token]), list=_listed(away, keys))]
    rested = float(row[rests].sum())
    if rested >= LEAST:
        parts.append(say("text.rest", share=f"{rested:.0%}"))
    if len(column):
        others = np.array(column, dtype=float)
        others[token] = 0.0
        parts.append(say("text.looked", list=_listed(others, queries)))
    return " ".join(parts)


def _listed(weights: np.ndarray, names: Sequence[str]) -> str:
    """The tokens of the largest weights with their shares; a word for none."""
    largest = [int(i) for i in np.argsort(-weights, kind="stable")[:NAMED] if weights[i] >= LEAST]
    items = [say("text.item", token=escape_markdown(names[i]), share=f"{weights[i]:.0%}") for i in largest]
    return ", ".join(items) or say("text.nothing")


def focus_templates() -> dict[str, str]:
    """The templates of `focus_reading`, whose values the browser fills in as it follows the pointer."""
    token, names, share = "{token}", "{list}", "{share}"
    return {
        "looks": say("text.looks", token=token, list=names),
        "looked": say("text.looked", list=names),
        "looked_word": say("text.looked_word", token=token, list=names),
        "rest": say("text.rest", share=share),
        "item": say("text.item", token=token, share=share),
        "nothing": say("text.nothing"),
    }
