"""BPE-dropout: words cut into other pieces than the likeliest (Provilkov et al. 2020), with a seed of one's own."""

from __future__ import annotations

import json
import random
from itertools import pairwise

from tokenizers import Tokenizer


class Splitter:
    """Cuts texts up with the merges of a BPE tokenizer, leaving each possible merge out with some probability.

    The tokenizers library can do so too, but draws from a generator that cannot be seeded.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        model = json.loads(tokenizer.to_str())["model"]
        merges = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
        self.ranks = {(first, second): rank for rank, (first, second) in enumerate(merges)}
        self.ids: dict[str, int] = model["vocab"]
        self.unknown = self.ids[model["unk_token"]]

    def cut(self, word: str, dropout: float, rng: random.Random) -> list[str]:
        """The pieces of one word; with no dropout those of the tokenizer."""
        pieces = list(word)
        while len(pieces) > 1:
            ranked = [
                (self.ranks[pair], place)
                for place, pair in enumerate(pairwise(pieces))
                if pair in self.ranks and (dropout == 0 or rng.random() >= dropout)
            ]
            if not ranked:
                break
            _, place = min(ranked)
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return pieces

    def encode(self, text: str, dropout: float, rng: random.Random) -> list[int]:
        """Ids of a text; letters that the tokenizer does not know are one unknown token a run, as it writes them."""
        normal = self.tokenizer.normalizer.normalize_str(text) if self.tokenizer.normalizer else text
        found: list[int] = []
        for word, _ in self.tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            ids = [self.ids.get(piece, self.unknown) for piece in self.cut(word, dropout, rng)]
            found += [i for n, i in enumerate(ids) if i != self.unknown or n == 0 or ids[n - 1] != i]
        return found
