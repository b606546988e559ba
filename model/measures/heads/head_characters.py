"""Characters of attention heads: what one sentence shows of each, with share and baseline (NumPy only)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model.arrays.types import Array
from model.assets import ASSETS
from model.maps.entropy import entropy_bits
from model.trace.attention import Attention

MIN_SHARE, MIN_TIMES_BASELINE = 0.5, 2.0  # a head is named only where it reaches both
MIN_SPREAD = 0.9  # effective keys as a share of the allowed ones, from which a head counts as spread
EVEN_SPLIT_SPREAD = float(np.exp(np.euler_gamma - 1))  # the same where a row is cut at points drawn evenly: 66 %
MIN_QUERIES = 2  # rows that can show a character; a single cell names no head
MAX_TOKENS = 256  # of longer texts nothing is measured: every weight of every layer is read
MAX_SPECIALS = 3  # special tokens with a character each; of more only their sum
MIN_ALIGNER, MIN_PARTNER = 0.6, 0.4  # published accuracy of a reference head; its mean weight on a token's partner


@dataclass(frozen=True, eq=False)
class Character:
    """One measure of all heads.

    Attributes:
        name: "previous", "same", "next", "first", "rests", "induction", "copies", "copied", "fed_in", "predicted",
            "spreads" or "rarest".
        token: the special token that a head rests on; "" for other characters, and for all special tokens as one.
        share: of the attention, from 0 to 1, mean over the queries that can show it; NaN where none can. [layer, head]
        baseline: the share that an even look over the allowed keys has. [layer, head]
        queries: number of these queries. [layer, head]
    """

    name: str
    token: str
    share: Array
    baseline: Array
    queries: Array

    @property
    def named(self) -> Array:
        """Heads whose share is at least `MIN_SHARE` and `MIN_TIMES_BASELINE` × the baseline. bool [layer, head]"""
        with np.errstate(invalid="ignore"):
            if self.name == "spreads":
                return (self.queries >= MIN_QUERIES) & (self.share >= MIN_SPREAD)
            enough = (self.share >= MIN_SHARE) & (self.share >= MIN_TIMES_BASELINE * self.baseline)
            return enough & (self.queries >= MIN_QUERIES)


_Measured = tuple[Array, Array, Array]  # share, baseline and number of queries, [head] each
_Measure = Callable[[Array], _Measured]  # of the weights of one layer, NaN where forbidden. [head, query, key]


def head_characters(
    attention: Attention, ids: Sequence[int] | None = None, aligners: Sequence[tuple[int, int]] = ()
) -> tuple[Character, ...]:
    """Every character that this sentence can show, measured for all heads; none for more than `MAX_TOKENS` tokens.

    Special tokens do not ask. A query with one allowed key shows nothing, nor does a neighbour that is a special token
    or the first token, where looking at a neighbour and resting there are one and the same cell.

    In cross-attention, "copies" is the weight on all places of the source where the token stands that is written next,
    and "copied" that on the places of the token fed in, over rows whose token stands in the source.

    Partners, in cross-attention, are judged by other heads than the head itself: the partner of the word that a row
    predicts is the strongest key of the mean of the reference heads' rows, the head itself left out; the partner of the
    word fed in is that of the row before. Which heads are the reference, and that they look at the partner of the word
    that comes next and not of the word fed in, is taken from word alignments of held-out pairs by an aligner that sees
    no attention (`published_aligners`). Without it the rows cannot tell the two apart, and no partner is named: in some
    models most heads look at the partner of the word fed in (Kobayashi et al. 2020).

    Args:
        ids: the tokens as numbers of the vocabulary, which tell whether a token repeats; None for their labels.
        aligners: (layer, head) of the reference heads of cross-attention.
    """
    if max(len(attention.queries), len(attention.keys)) > MAX_TOKENS:
        return ()
    special = attention.keys.special[0]
    found = every_character(attention, whole_maps(attention), ids, aligners)
    found = tuple(one for one in found if one.name != "rarest" and (one.name != "first" or not special))
    kept = [one for one in found if np.isfinite(one.share).any()]
    return tuple(one for one in kept if not _adds_nothing(one, kept))


def every_character(
    attention: Attention,
    maps: Sequence[Array],
    ids: Sequence[int] | None = None,
    aligners: Sequence[tuple[int, int]] = (),
) -> tuple[Character, ...]:
    """Every measure of this kind of attention for all heads, also those that add nothing in this sentence.

    As `head_characters`; besides, "first" is also measured where the first token is special, and "rarest" is the weight
    on the token with the largest id, among other tokens than the query: vocabularies list frequent pieces first.

    Args:
        maps: as `whole_maps` returns them.
    """
    found = []
    for name, token, measure in _measures(attention, ids):
        found.append(_of_all_layers(name, token, [measure(weights) for weights in maps]))
    if attention.kind == "cross" and aligners:
        found += _partners(attention, maps, aligners)
    return tuple(found)


def whole_maps(attention: Attention) -> list[Array]:
    """The weights of every layer, NaN where the mask forbids. layer -> float32 [head, query, key]"""
    queries, keys = range(len(attention.queries)), range(len(attention.keys))
    return [attention.pooled(layer, None, queries, keys) for layer in range(attention.num_layers)]


def published_aligners(model: str) -> tuple[tuple[int, int], ...]:
    """Cross-attention heads of a bundled model that find the word aligned with the next output on held-out pairs.

    Read from the `scores.json` beside its weights: the share of IBM-Model-1 links that each head's strongest key hits.
    On the 285 pairs of `tests/data`, cross-attention head 0.3, which is none of them and finds 90 % of the links of the
    word fed in, agrees with the reference on 75 % of the tokens that have a partner; a row too late on 8 %.

    Returns:
        (layer, head) of the heads with an accuracy of at least `MIN_ALIGNER`; () for other models.
    """
    path = ASSETS / model / "scores.json"
    if "/" in model or not path.is_file():
        return ()
    rows = json.loads(path.read_text()).get("alignment", [])
    return tuple((row["layer"], row["head"]) for row in rows if row["predicted"] >= MIN_ALIGNER > row["fed_in"])


def _of_all_layers(name: str, token: str, layers: Sequence[_Measured]) -> Character:
    share, baseline, queries = (np.stack(part) for part in zip(*layers, strict=True))
    return Character(name, token, share, baseline, queries)


def _adds_nothing(character: Character, others: Sequence[Character]) -> bool:
    """True for the sum over all special tokens where one of them alone names each head that the sum names."""
    if character.name != "rests" or character.token:
        return False
    parts = [one.named for one in others if one.name == "rests" and one.token]
    return bool(parts) and not (character.named & ~np.any(parts, 0)).any()


def _measures(attention: Attention, ids: Sequence[int] | None) -> list[tuple[str, str, _Measure]]:
    """Name, token and measure of each character of a kind of attention, partners apart."""
    asking = np.flatnonzero(~np.array(attention.queries.special, bool))
    special = np.array(attention.keys.special, bool)  # [key]
    measures: list[tuple[str, str, _Measure]] = []
    if attention.kind != "cross":
        ends = np.flatnonzero(special) if special.any() else np.array([], int)
        for name, offset in (("previous", -1), ("same", 0), ("next", 1)):
            rows = asking[(asking + offset > 0) & (asking + offset < len(special))]
            rows = rows[~np.isin(rows + offset, ends)]
            measures.append((name, "", _cells(rows, rows + offset)))
        tokens = ids if ids is not None and len(ids) == len(special) else attention.key_tokens
        measures.append(("induction", "", _cells(*_induction_cells(tokens, asking))))
        measures.append(("first", "", _right_keys(asking[asking > 0], np.arange(len(special)) == 0)))
        if ids is not None and tokens is ids and not special.all():
            rarest = int(np.where(special, -1, np.array(ids)).argmax())
            measures.append(("rarest", "", _right_keys(asking[asking != rarest], np.arange(len(special)) == rarest)))
    else:
        measures += [(name, "", _right_keys(*cells)) for name, cells in _copied_cells(attention).items()]
    texts = list(dict.fromkeys(attention.key_tokens[i] for i in np.flatnonzero(special)))
    for text in texts if len(texts) <= MAX_SPECIALS else ():
        measures.append(("rests", text, _right_keys(asking, special & (np.array(attention.key_tokens) == text))))
    if texts:
        measures.append(("rests", "", _right_keys(asking, special)))
    return [*measures, ("spreads", "", _spread(asking))]


def _induction_cells(tokens: Sequence[object], asking: Array) -> tuple[Array, Array]:
    """Queries whose token occurred before, and the keys that followed it there (Olsson et al. 2022).

    Left out where that key is the query's own or the previous token, or the first, which other characters explain.
    """
    last: dict[object, int] = {}
    pairs = []
    for position, token in enumerate(tokens):
        if token in last and last[token] + 1 < position - 1 and position in asking:
            pairs.append((position, last[token] + 1))
        last[token] = position
    queries, keys = np.array(pairs, int).reshape(-1, 2).T
    return queries, keys


def _cells(rows: Array, keys: Array) -> _Measure:
    """Measure of the weight on one key a row. rows, keys: [row], or keys [head, row] where each head has its own"""

    def measure(weights: Array) -> _Measured:
        heads = np.arange(len(weights))[:, None]
        counts = (~np.isnan(weights[:, rows])).sum(-1)  # allowed keys. [head, row]
        cells = weights[heads, rows[None], np.maximum(keys if keys.ndim == 2 else keys[None], 0)]
        shown = ~np.isnan(cells) & (counts >= 2) & (keys >= 0)
        return _means(cells, 1 / np.maximum(counts, 1), shown)

    return measure


def _copied_cells(attention: Attention) -> dict[str, tuple[Array, Array]]:
    """Rows whose next token, or whose own, stands in the source; and the keys where it does, bool [row, key].

    Tokens without a letter or digit are left out, and rows where one token is both.
    """
    keys = np.array(attention.key_tokens)
    word = ~np.array(attention.keys.special, bool) & [any(map(str.isalnum, token)) for token in attention.key_tokens]
    same = (np.array(attention.query_tokens)[:, None] == keys) & word  # [query, key]
    same[np.array(attention.queries.special, bool)] = False
    apart = np.flatnonzero(~(same[:-1] & same[1:]).any(-1))
    found = {"copies": same[1:], "copied": same[:-1]}
    return {name: ((rows := apart[right[apart].any(-1)]), right[rows]) for name, right in found.items()}


def _right_keys(rows: Array, right: Array) -> _Measure:
    """Measure of the weight on right keys. right: bool [key], the same in each row, or [row, key]"""

    def measure(weights: Array) -> _Measured:
        chosen = weights[:, rows]
        counts, those = (~np.isnan(chosen)).sum(-1), (right & ~np.isnan(chosen)).sum(-1)
        shown = (those > 0) & (those < counts)
        return _means(np.nansum(np.where(right, chosen, 0), -1), those / np.maximum(counts, 1), shown)

    return measure


def _spread(rows: Array) -> _Measure:
    """Measure of the effective number of keys, 2 to the entropy, as a share of the allowed keys; of 4 or more."""

    def measure(weights: Array) -> _Measured:
        chosen = weights[:, rows]
        counts = (~np.isnan(chosen)).sum(-1)
        effective = np.exp2(entropy_bits(np.nan_to_num(chosen))) / np.maximum(counts, 1)
        return _means(effective, np.full(counts.shape, EVEN_SPLIT_SPREAD), counts >= 4)

    return measure


def _means(values: Array, baseline: Array, shown: Array) -> _Measured:
    """Means over the rows that count; NaN where none does. [head, row] each"""
    queries = shown.sum(-1)
    several = np.maximum(queries, 1)
    share = np.where(queries > 0, np.where(shown, values, 0).sum(-1, dtype=np.float64) / several, np.nan)
    return share, np.where(shown, baseline, 0).sum(-1, dtype=np.float64) / several, queries


def _partners(attention: Attention, maps: Sequence[Array], aligners: Sequence[tuple[int, int]]) -> list[Character]:
    """Characters of the partner of the word fed in, and of the word that comes next."""
    layers, heads, queries = attention.num_layers, attention.num_heads, len(attention.queries)
    known = [(layer, head) for layer, head in aligners if layer < layers and head < heads]
    if len(known) < 2 or queries < 2:
        return []
    reference = np.stack([np.nan_to_num(maps[layer][head]) for layer, head in known])
    reference[..., np.array(attention.keys.special, bool)] = 0
    total = reference.sum(0)
    by_name: dict[str, list[_Measured]] = {"fed_in": [], "predicted": []}
    for layer, weights in enumerate(maps):
        means = np.repeat((total / len(known))[None], heads, 0)
        for place, (at, head) in enumerate(known):
            if at == layer:
                means[head] = (total - reference[place]) / (len(known) - 1)
        following = np.where(means.max(-1) >= MIN_PARTNER, means.argmax(-1), -1)  # [head, query]
        fed = np.concatenate([np.full((heads, 1), -1), following[:, :-1]], 1)
        # Two words with one partner do not tell the characters apart.
        apart = following != fed
        for name, keys in (("fed_in", fed), ("predicted", following)):
            by_name[name].append(_cells(np.arange(queries), np.where(apart, keys, -1))(weights))
    return [_of_all_layers(name, "", measured) for name, measured in by_name.items()]
