"""Scores of the bundled translator on held-out sentences, and what its heads do there.

    python -m model.translator.scoring PAIRS.tsv

PAIRS.tsv is the file that the model was trained on: the same seeded split gives the sentences it was not trained on.
Prints a report and writes it to `scores.json` beside the weights.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sacrebleu

from model.assets import ASSETS
from model.measures.heads.head_roles import ROLES, role_scores
from model.translator.translator import Translator

Pair = tuple[str, str]
TEST_SENTENCES, VALIDATION_SENTENCES = 2500, 1000


def read_pairs(path: Path) -> list[Pair]:
    """English-French pairs of a tab-separated UTF-8 file; further columns are ignored.

    Raises:
        ValueError: a line has no tab; with its number.
    """
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        columns = line.split("\t")
        if len(columns) < 2:
            raise ValueError(f"{path}, line {number}: expected English, tab, French; got {line!r}")
        pairs.append((columns[0], columns[1]))
    return pairs


def split(pairs: Sequence[Pair], seed: int = 2017) -> dict[str, list[Pair]]:
    """Pairs by part, "train", "validation" and "test", which share no English sentence.

    Sentences that differ only in case and punctuation count as the same.
    """

    def key(pair: Pair) -> str:
        return re.sub(r"[^\w]+", " ", pair[0].casefold()).strip()

    keys = sorted({key(pair) for pair in pairs})
    random.Random(seed).shuffle(keys)
    test = set(keys[:TEST_SENTENCES])
    validation = set(keys[TEST_SENTENCES : TEST_SENTENCES + VALIDATION_SENTENCES])
    parts: dict[str, list[Pair]] = {"train": [], "validation": [], "test": []}
    for pair in pairs:
        k = key(pair)
        parts["test" if k in test else "validation" if k in validation else "train"].append(pair)
    return parts


def references(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Each English sentence with all its French references, in order of first appearance."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for english, french in pairs:
        grouped[english].append(french)
    return dict(grouped)


def bleu_chrf(outputs: Sequence[str], expected: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Corpus BLEU and chrF2 (sacreBLEU; Post 2018), both from 0 to 100.

    Args:
        expected: for each output its references, one or more.
    """
    most = max(map(len, expected))
    # sacreBLEU takes None where a sentence has fewer references than others, though its types do not say so.
    streams: Any = [[refs[i] if i < len(refs) else None for refs in expected] for i in range(most)]
    return sacrebleu.corpus_bleu(outputs, streams).score, sacrebleu.corpus_chrf(outputs, streams).score


def translate_all(lens: Translator, texts: Sequence[str], batch: int = 64) -> list[str]:
    """Greedy translations of texts, in their order, computed in batches of similar length.

    Args:
        batch: texts in a batch.
    """
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    outputs = [""] * len(texts)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        for i, output in zip(chosen, lens.translate([texts[i] for i in chosen]), strict=True):
            outputs[i] = output
    return outputs


class Aligner:
    """Word alignment by IBM Model 1 (Brown et al. 1993) in both directions.

    It uses only the statistics of the pairs and no attention, so it is an independent reference for attention heads.

    Args:
        sources, targets: ids of the two sides of each pair.
        size: of the vocabulary.
        rounds: of expectation maximization.
    """

    def __init__(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], size: int, rounds: int = 5):
        self.size = size
        self.forward = self._learn(sources, targets, rounds)
        self.backward = self._learn(targets, sources, rounds)

    def _learn(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], rounds: int
    ) -> dict[int, float]:
        """Probability of a target token given a source token; the key is source · size + target."""
        sources = [[0, *row] for row in sources]  # 0 stands for "no word at all"
        codes = np.concatenate(
            [np.add.outer(t, np.multiply(s, self.size)).ravel() for s, t in zip(sources, targets, strict=True)]
        )
        group_sizes = np.concatenate([np.full(len(t), len(s)) for s, t in zip(sources, targets, strict=True)])
        starts = np.concatenate([[0], np.cumsum(group_sizes)[:-1]])
        kinds, cell = np.unique(codes, return_inverse=True)
        probability = np.ones(len(kinds))
        for _ in range(rounds):
            mass = probability[cell]
            mass /= np.repeat(np.add.reduceat(mass, starts), group_sizes)
            counts = np.bincount(cell, mass, len(kinds))
            totals = np.bincount(kinds // self.size, counts, self.size)
            probability = counts / totals[kinds // self.size]
        return dict(zip(kinds.tolist(), probability.tolist(), strict=True))

    def links(self, source: Sequence[int], target: Sequence[int]) -> list[tuple[int, int]]:
        """(target position, source position) pairs that both directions align, sorted."""

        def best(table: dict[int, float], source: Sequence[int], target: Sequence[int]) -> set[tuple[int, int]]:
            pairs = set()
            for j, t in enumerate(target):
                probabilities = [table.get(s * self.size + t, 0.0) for s in [0, *source]]
                if (i := int(np.argmax(probabilities))) > 0:
                    pairs.add((j, i - 1))
            return pairs

        return sorted(best(self.forward, source, target) & {(j, i) for i, j in best(self.backward, target, source)})


def heads_report(
    lens: Translator, train: Sequence[Pair], held_out: Sequence[Pair]
) -> dict[str, list[dict[str, object]]]:
    """Roles and alignment scores of all heads, over held-out pairs with the reference forced.

    Args:
        train: the pairs that the statistical aligner learns from.

    Returns:
        "roles": for each self-attention head the mean weight on the previous, same and next token.
        "alignment": for each cross-attention head the share of aligned tokens whose strongest source token is the
        statistical aligner's choice, in the row of the token itself ("fed_in") and in the row that predicts it
        ("predicted"); highest first.
    """
    tokenizer = lens.tokenizer

    def ids(side: int, pairs: Sequence[Pair]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch([pair[side] for pair in pairs])]

    aligner = Aligner(ids(0, train), ids(1, train), lens.config.vocab_size)
    roles: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
    hits: dict[int, list[np.ndarray]] = defaultdict(list)  # layer -> [link, (fed in, predicted), head]
    for pair, source, target in zip(held_out, ids(0, held_out), ids(1, held_out), strict=True):
        trace = lens.trace(*pair)
        for kind in ("encoder", "decoder"):
            attention = trace.attentions[kind]
            for layer in range(attention.num_layers):
                scores = role_scores(attention, layer)
                roles[kind, layer].append(np.stack([scores[role] for role in ROLES]))
        cross = trace.attentions["cross"]
        for layer in range(cross.num_layers):
            strongest = cross.weights(layer).argmax(axis=-1)  # [head, query]
            for j, i in aligner.links(source, target):
                # Row j + 1 is fed target token j; row j predicts it.
                hits[layer].append(np.stack([strongest[:, j + 1] == i, strongest[:, j] == i]))
    role_rows = [
        {"kind": kind, "layer": layer, "head": head}
        | {role: round(float(score), 3) for role, score in zip(ROLES, np.nanmean(scores, axis=0)[:, head], strict=True)}
        for (kind, layer), scores in roles.items()
        for head in range(lens.config.num_heads)
    ]
    cross_rows: list[dict[str, object]] = [
        {"layer": layer, "head": head, "fed_in": round(float(fed), 3), "predicted": round(float(predicted), 3)}
        for layer, layer_hits in hits.items()
        for head, (fed, predicted) in enumerate(np.mean(layer_hits, axis=0).T)
    ]
    cross_rows.sort(key=lambda row: -max(float(str(row["fed_in"])), float(str(row["predicted"]))))
    return {"roles": role_rows, "alignment": cross_rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--folder", type=Path, default=ASSETS / "en-fr")
    parser.add_argument(
        "--head-pairs", type=int, default=500, help="held-out pairs to look at the heads with; 0 for none"
    )
    parser.add_argument("--sample", type=Path, help="a part of the held-out pairs to score on its own, for the tests")
    args = parser.parse_args()
    lens = Translator.open(args.folder)
    parts = split(read_pairs(args.pairs))
    expected = references(parts["test"])
    outputs = translate_all(lens, list(expected))
    bleu, chrf = bleu_chrf(outputs, list(expected.values()))
    report: dict[str, object] = {"sentences": len(expected), "bleu": round(bleu, 2), "chrf": round(chrf, 2)}
    if args.sample:
        sample = references(read_pairs(args.sample))
        report["sample_bleu"] = round(bleu_chrf(translate_all(lens, list(sample)), list(sample.values()))[0], 2)
    if args.head_pairs:
        report |= heads_report(lens, parts["train"], parts["test"][:: max(len(parts["test"]) // args.head_pairs, 1)])
    print(json.dumps(report, indent=1))
    (args.folder / "scores.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
