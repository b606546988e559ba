"""Training of the translator's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPECIALS = ["<pad>", "<s>", "</s>", "<unk>"]  # ids 0-3: Config.pad, bos, eos, unk


def train_tokenizer(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """A BPE tokenizer (Sennrich et al. 2016) shared by both languages; "▁" marks the start of a word.

    Args:
        texts: training sentences of both languages.
        vocab_size: largest number of tokens, special ones included.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(Regex("[\u2018\u2019\u201b\u02bc\u2032\u00b4`]"), "'"),
            normalizers.Replace(Regex("[\u201c\u201d\u201e\u201f\u2033]"), '"'),
            normalizers.Replace(Regex("[\u2010-\u2015]"), "-"),
            normalizers.Replace("\u2026", "..."),
            normalizers.Replace(Regex(r"[\s\p{C}\u2581]+"), " "),
            normalizers.Strip(),
        ]
    )
    # Elided words ("l'", "qu'"), punctuation and digits stand alone, so that heads can point at them.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Split(Regex(r"(?i)▁(?:[ldjmtsnc]|qu|jusqu|lorsqu|puisqu|quelqu)'(?=\p{L})"), "isolated"),
            pre_tokenizers.Split(Regex(r"▁?[^\p{L}\p{N}▁']"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=SPECIALS, limit_alphabet=160, min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
