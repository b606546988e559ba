"""ROUGE (Lin 2004), written out: F-measures of shared n-grams and of the longest common subsequence.

Words are runs of a-z and 0-9 in lower case, without stemming, as in the `rouge-score` package, whose values these are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence


def tokens(text: str) -> list[str]:
    """Runs of letters a-z and digits, in lower case."""
    return re.findall(r"[a-z0-9]+", text.lower())


def f_measure(shared: int, made: int, wanted: int) -> float:
    """Harmonic mean of precision (shared / made) and recall (shared / wanted)."""
    return 2 * shared / (made + wanted) if shared else 0.0


def rouge_n(output: str, reference: str, n: int) -> float:
    """F-measure of the n-grams that both texts have, each counted as often as it stands in both."""

    def grams(text: str) -> Counter[tuple[str, ...]]:
        words = tokens(text)
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    made, wanted = grams(output), grams(reference)
    return f_measure((made & wanted).total(), made.total(), wanted.total())


def rouge_l(output: str, reference: str) -> float:
    """F-measure of the longest common subsequence of words."""
    made, wanted = tokens(output), tokens(reference)
    row = [0] * (len(wanted) + 1)  # longest subsequence of what was read of `made` and each beginning of `wanted`
    for word in made:
        corner = 0
        for i, other in enumerate(wanted):
            corner, row[i + 1] = row[i + 1], corner + 1 if word == other else max(row[i + 1], row[i])
    return f_measure(row[-1], len(made), len(wanted))


def rouge(outputs: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Mean ROUGE-1, ROUGE-2 and ROUGE-L of outputs against one reference each, in percent."""
    pairs = list(zip(outputs, references, strict=True))
    return {
        "rouge1": 100 * sum(rouge_n(a, b, 1) for a, b in pairs) / len(pairs),
        "rouge2": 100 * sum(rouge_n(a, b, 2) for a, b in pairs) / len(pairs),
        "rougeL": 100 * sum(rouge_l(a, b) for a, b in pairs) / len(pairs),
    }
