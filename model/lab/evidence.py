"""What findings are measured on: each sort of input and measure once, for all findings that ask for it (NumPy only)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from model.arrays.types import Array
from model.errors import InputError
from model.lab.finding_table import FindingSpec
from model.lab.measurement import Measurement
from model.lab.measuring import measure
from model.lab.resampling import repeated_ids
from model.measures.structure.atom_map import atom_tokens, mapped_atoms
from model.structures.reaction import known_map, read_reaction
from model.structures.samples import held_out
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.trace import Trace
from model.turns import rest

EFFECT_SENTENCES = 12  # on which each head is silenced: a pass for each head
PRUNED_SHARE = 0.2  # of the heads, those that matter least
REPEATED_LENGTH, REPEATED_ROWS = 50, 8  # tokens that are said twice, and how many such inputs
FIRST_ID = 100  # ids below are often marks
LEAD = "The"  # what repeated ids stand behind, as a decoder reads no empty text

Watch = Callable[[], None]


class NotMeasured(Exception):  # noqa: N818  (not an error: the finding says why)
    """A finding cannot be measured with this model. reason: id of the sentence that says why"""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Evidence:
    """Values [sentence, layer, head] that findings ask for, and those of an even look; each is measured once.

    Args:
        sentences: that findings about sentences are measured on.
        aligners: reference heads of cross-attention.
        measures: that are asked for of sentences.
        watch: called between passes; what it raises ends the work.
    """

    def __init__(
        self,
        lens: Lens,
        sentences: Sequence[str],
        aligners: Sequence[tuple[int, int]],
        measures: Sequence[str],
        seed: int,
        watch: Watch,
    ) -> None:
        self.lens, self.sentences, self.aligners = lens, tuple(sentences), tuple(aligners)
        self._measures, self._seed, self._watch = tuple(measures), seed, watch
        self._found: dict[str, Measurement] = {}
        self._effects: list[Mapping[str, Array]] | None = None

    def values(self, spec: FindingSpec) -> tuple[Array, Array | None]:
        """The values of each sentence [sentence, layer, head], and the mean of an even look [layer, head] or None.

        Raises:
            NotMeasured: this model cannot show it.
            InputError: no sentence can be read.
        """
        if spec.measure == "effect":
            return self._effect_values(spec.kind), None
        if spec.measure == "pruned":
            return self._pruned(), None
        if spec.measure == "mapped_atoms":
            return self._mapped()
        if spec.measure == "weight":
            return self._weight(spec), None
        found = self.measured(spec.read)
        kind = self.kind(spec)
        values = found.of(kind, spec.measure)
        if np.isnan(values).all():
            raise NotMeasured("not_shown")
        return values, found.baseline[kind][found.measures.index(spec.measure)]

    def kind(self, spec: FindingSpec) -> str:
        """The kind of attention that a finding is about, in this model."""
        kinds = self.measured("sentences").kinds
        kind = ("encoder" if "encoder" in kinds else kinds[0]) if spec.kind == "reading" else spec.kind
        if kind not in kinds:
            raise NotMeasured("no_kind")
        return kind

    def measured(self, read: str) -> Measurement:
        """All measures on one sort of input."""
        if read not in self._found:
            texts, targets = self.sentences, None
            names = self._measures
            if read == "repeated":
                texts, targets, names = (LEAD,) * REPEATED_ROWS, self._repeated(), ("induction",)
            self._found[read] = measure(
                self.lens,
                texts,
                names,
                seed=self._seed,
                targets=targets,
                aligners=self.aligners,
                progress=lambda done, total: self._watch(),
            )
        return self._found[read]

    def _repeated(self) -> tuple[tuple[int, ...], ...]:
        trace = self.lens.trace(LEAD, "")
        if trace.logits is None:
            raise NotMeasured("no_words")
        length = min(REPEATED_LENGTH, (self.lens.max_tokens - 8) // 2)
        return repeated_ids(FIRST_ID, trace.logits.shape[-1], length, REPEATED_ROWS, self._seed)

    def effects(self) -> list[Mapping[str, Array]]:
        """Bits a token by which silencing each head changes the prediction, of some sentences. kind -> [layer, head]"""
        if self._effects is None:
            if not self.lens.heads:
                raise NotMeasured("no_edits")
            found: list[Mapping[str, Array]] = []
            for sentence in self._few():
                self._watch()
                effects, in_bits = self.lens.head_effects(
                    sentence, self._written(sentence), None, lambda share: self._watch()
                )
                if not in_bits:
                    raise NotMeasured("no_words")
                found.append(effects)
            self._effects = found
        return self._effects

    def _few(self) -> tuple[str, ...]:
        """Sentences for the effects of silencing, spread over all that were read."""
        read = self.measured("sentences").sentences
        return read[:: max(len(read) // EFFECT_SENTENCES, 1)][:EFFECT_SENTENCES]

    def _written(self, sentence: str) -> Sequence[int] | str | None:
        """The output of an encoder-decoder that predictions are compared on; "" for a decoder, None for an encoder."""
        if not self.lens.is_encoder_decoder:
            return "" if self.lens.writes else None
        trace = self.lens.trace(sentence)
        return trace.ids["decoder"][trace.prompt_length :]

    def _effect_values(self, kind: str) -> Array:
        """[sentence, layer, head] of one kind, or [sentence, 1, head] of all heads of all kinds."""
        effects = self.effects()
        if kind != "all":
            name = "encoder" if kind == "reading" and "encoder" in effects[0] else kind
            return np.stack([one[name] for one in effects]).astype(np.float32)
        flat = [np.concatenate([one.ravel() for one in effect.values()]) for effect in effects]
        return np.stack(flat)[:, None].astype(np.float32)

    def _pruned(self) -> Array:
        """Share of places with the same likeliest word without the heads that matter least. [sentence, 1, 1]"""
        edits = self._without_least()
        ranked = {*self._few()}
        others = [one for one in self.measured("sentences").sentences if one not in ranked]
        shares = []
        for sentence in others[:: max(len(others) // EFFECT_SENTENCES, 1)][:EFFECT_SENTENCES]:
            self._watch()
            target = self._written(sentence)
            before, after = (self.lens.trace(sentence, target, one) for one in (None, edits))
            shares.append(_same_words(before, after))
            rest(everyone=True)
        if not shares:
            raise NotMeasured("few")
        return np.array(shares, np.float32)[:, None, None]

    def _without_least(self) -> Edits:
        """Edits that silence the heads of all kinds that matter least on average."""
        effects = self.effects()
        means = {kind: np.mean([one[kind] for one in effects], axis=0) for kind in effects[0]}
        places = [(kind, layer, head) for kind, one in means.items() for layer, head in np.ndindex(one.shape)]
        places.sort(key=lambda place: means[place[0]][place[1], place[2]])
        index = {kind: self.lens.layer_index.get(kind) or range(len(one)) for kind, one in means.items()}
        least = places[: int(PRUNED_SHARE * len(places))]
        return Edits(heads={(kind, index[kind][layer], head): 0.0 for kind, layer, head in least})

    def _mapped(self) -> tuple[Array, Array]:
        """Share of product atoms that look most at the right atom; and that the first free atom would get right."""
        values, simple = [], []
        for text in held_out("reaction"):
            self._watch()
            attention = self.lens.trace(text).attentions["encoder"]
            reaction, true = read_reaction(text), known_map(text)
            tokens = atom_tokens(attention.queries, text, reaction)
            if tokens is None or true is None:
                continue
            found = mapped_atoms(attention, reaction, tokens, true)
            values.append(found.hits / found.total)
            simple.append(found.in_order / found.total)
            rest(everyone=True)
        if not values:
            raise NotMeasured("not_shown")
        stacked = np.stack(values).astype(np.float32)
        return stacked, np.full(stacked.shape[1:], np.mean(simple), np.float32)

    def _weight(self, spec: FindingSpec) -> Array:
        """The weight of one token on another in one text. [1, layer, head]"""
        attention = self.lens.trace(spec.given).attentions[spec.kind]
        try:
            query, key = attention.query_tokens.index(spec.query), attention.key_tokens.index(spec.key)
        except ValueError as error:
            raise NotMeasured("not_shown") from error
        rows = [attention.row(layer, query)[:, key] for layer in range(attention.num_layers)]
        return np.stack(rows)[None].astype(np.float32)


def _same_words(before: Trace, after: Trace) -> float:
    if before.logits is None or after.logits is None:
        raise NotMeasured("no_words")
    return float((before.logits.argmax(-1) == after.logits.argmax(-1)).mean())


def family_of(kinds: Sequence[str]) -> str:
    """The family of a model with these kinds of attention."""
    return "encoder-decoder" if "cross" in kinds else kinds[0]


def read_check(lens: Lens) -> None:
    """Raise where a model reads no text."""
    if lens.takes != "text":
        raise InputError(
            "lab_takes", f"The lab measures texts, and this model reads {lens.takes}s. Pick another model."
        )
