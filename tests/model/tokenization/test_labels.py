"""Tokens as people read them: bytes that make a character, marks that make a letter, pieces that make a word."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

import model
from model.maps.words import word_pieces
from model.tokenization.encoding import unknown_token_notes
from model.tokenization.labels import label_ids, label_pieces, labels_apart, predicted_labels
from model.trace.tokens import Tokens
from model.translator.translator import Translator
from tests.model.catalog.test_catalog import fetched

FAMILY = "👩\u200d👩\u200d👧"


@pytest.fixture(scope="module")
def single_bytes() -> PreTrainedTokenizerFast:
    """Byte-level like GPT-2's, but every byte is a token of its own, and "ca" + "t" makes "cat"."""
    vocabulary = {letter: i for i, letter in enumerate([*bytes_to_unicode().values(), "ca", "cat", "<end>"])}
    made = Tokenizer(models.BPE(vocabulary, [("c", "a"), ("ca", "t")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 258)])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")


@pytest.fixture(scope="module")
def wordpiece() -> PreTrainedTokenizerFast:
    """WordPiece like BERT's: marks are stripped, Chinese characters stand alone."""
    letters = [*"unhapy", *"جميلة", *"हनदी", "日", "本"]
    words = ["[CLS]", "[SEP]", "[UNK]", *letters, *(f"##{letter}" for letter in letters)]
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    return PreTrainedTokenizerFast(tokenizer_object=made, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")


def test_what_became_unknown_is_named_once(
    wordpiece: PreTrainedTokenizerFast, single_bytes: PreTrainedTokenizerFast
) -> None:
    for text, words in (("日本 x unhappy 😀 x", "x 😀"), ("日本", "")):
        assert unknown_token_notes(wordpiece, text, wordpiece(text)["input_ids"]) == (
            (("unknown", words),) if words else ()
        )
    single_bytes.unk_token = "<end>"  # as GPT-2's, which ends with it what nobody typed
    assert unknown_token_notes(single_bytes, "cat", single_bytes("cat")["input_ids"]) == ()


def read(tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[Tokens, Tokens]:
    """Labels with what was typed at hand, and from the ids alone."""
    encoding = tokenizer(text, return_offsets_mapping=True)
    pieces = [(text[start:end], start, end) for start, end in encoding["offset_mapping"]]
    return label_ids(tokenizer, encoding["input_ids"], lambda: pieces), label_ids(tokenizer, encoding["input_ids"])


def words(tokens: Tokens) -> list[str]:
    return ["".join(tokens.word_parts[place] for place in word) for word in word_pieces(tokens)]


SENTENCES = {
    "a 日本": ["a", "日", "本"],
    "العَرَبية جميلة": ["العَرَبية", "جميلة"],
    "हिन्दी भाषा": ["हिन्दी", "भाषा"],
    "สวัสดี": ["ส", "วั", "ส", "ดี"],
    f"hi {FAMILY} 👍🏽 🇫🇷!": ["hi", FAMILY, "👍🏽", "🇫🇷", "!"],
    "cat, cat's": ["cat", ",", "cat", "'", "s"],
    "naïve": ["naïve"],
}


@pytest.mark.parametrize(("text", "expected"), SENTENCES.items())
def test_bytes_become_characters_and_characters_words(
    single_bytes: PreTrainedTokenizerFast, text: str, expected: list[str]
) -> None:
    for tokens in read(single_bytes, text):
        assert words(tokens) == [*expected, "<end>"]
        assert "\ufffd" not in "".join(tokens.texts)
        assert tokens.special == (*[False] * (len(tokens) - 1), True)


def test_each_part_of_a_character_says_which_it_is(single_bytes: PreTrainedTokenizerFast) -> None:
    for tokens in read(single_bytes, "日é cat"):
        assert tokens.texts[:5] == ("日 1/3", "日 2/3", "日 3/3", "é 1/2", "é 2/2")
        assert tokens.raw[-2:] == ("cat", "<end>")
    invisible, _ = read(single_bytes, "a\u200d\n")
    assert invisible.texts == ("a", "·ZWJ 1/3", "ZWJ 2/3", "ZWJ 3/3", "⏎", "<end>")


def test_part_of_a_character_alone_shows_its_bytes(single_bytes: PreTrainedTokenizerFast) -> None:
    ids = single_bytes("日日")["input_ids"]
    assert label_ids(single_bytes, ids[:2]).texts == ("‹E6›", "‹97›")
    # What would come next completes a character only if its first bytes were fed.
    assert predicted_labels(single_bytes, ids[:3], ids[1:4]) == ("‹97›", "日 3/3", "‹E6›")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("unhappy 日本", ["unhappy", "日", "本"]), ("جَميلة", ["جميلة"]), ("हनदी नद", ["हनदी", "नद"])],
)
def test_wordpiece_words_are_whole(wordpiece: PreTrainedTokenizerFast, text: str, expected: list[str]) -> None:
    for tokens in read(wordpiece, text):
        assert words(tokens) == ["[CLS]", *expected, "[SEP]"]
        assert "#" not in "".join(tokens.texts)


def test_an_unknown_word_was_typed_by_somebody(wordpiece: PreTrainedTokenizerFast) -> None:
    tokens, _ = read(wordpiece, "un xyz")
    assert tokens.texts[-2:] == ("[UNK]", "[SEP]")
    assert tokens.special == (True, False, False, False, True)


def test_fetched_models_join_what_they_split() -> None:
    from model.catalog.store import download_folder

    tokenizer = AutoTokenizer.from_pretrained(download_folder() / fetched("smollm2"))
    for text, expected in SENTENCES.items():
        for tokens in read(tokenizer, text):
            assert "".join(words(tokens)).replace(" ", "") == "".join(expected)
            assert len(words(tokens)) <= len(expected)
            assert "\ufffd" not in "".join(tokens.texts)
    assert np.all([len(word) for word in words(read(tokenizer, "日本語")[0])])


def test_tokens_are_named_when_somebody_looks() -> None:
    asked = []

    def name() -> Tokens:
        asked.append(1)
        return Tokens(("a", "·b"), (False, False), (False, True))

    tokens = Tokens.lazy(2, name)
    assert (len(tokens), len(tokens.padded(2)), hasattr(tokens, "no_such_thing"), asked) == (2, 2, False, [])
    assert tokens == Tokens(("a", "·b"), (False, False), (False, True))
    assert tokens.raw == ()
    assert tokens.padded(3).texts == ("a", "·b", "<pad>")
    assert asked == [1]
    with pytest.raises(ValueError, match="3 tokens were announced, and 2 named"):
        _ = Tokens.lazy(3, name).texts


def test_a_pass_does_not_name_its_tokens(lens: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("model.translator.labels.label_pieces", lambda *args: asked.append(1) or label_pieces(*args))
    trace = lens.trace("The cat saw the cat.", "Le chat a vu le chat.")
    assert not asked
    assert trace.tokens["decoder"].texts[:3] == ("<s>", "Le", "chat")
    assert asked == [1]


@pytest.mark.parametrize(
    ("typed", "label"),
    [("\0", "NUL"), ("\xa0", "NBSP"), ("\u200b", "ZWSP"), ("\ufeff", "BOM"), ("\u202e", "RLO"), ("\u2028", "U+2028")],
)
def test_what_leaves_no_ink_has_a_name(single_bytes: PreTrainedTokenizerFast, typed: str, label: str) -> None:
    whole, _ = read(single_bytes, typed)
    assert {text.removeprefix("·").split()[0] for text in whole.texts[:-1]} == {label}
    assert label_pieces([f"a{typed}b"], [False]).texts == (f"a‹{label}›b",)
    assert label_pieces([FAMILY], [False]).texts == (FAMILY,)  # what joins a picture is left in it


def test_words_cut_small_are_named(single_bytes: PreTrainedTokenizerFast) -> None:
    inside = (False, False, False, True, True, True, False)
    tokens = Tokens(("the", "cat", "Xy", "·zz", "·qw", "·ort", "</s>"), (*[False] * 6, True), inside)
    assert tokens.words_in_pieces(3) == ("Xyzzqwort",)
    assert tokens.words_in_pieces(4) == ()
    assert read(single_bytes, "zzzzzz")[0].words_in_pieces(3) == ()  # it cuts every word into letters


def test_places_that_a_tokenizer_gets_wrong_are_not_used(single_bytes: PreTrainedTokenizerFast) -> None:
    """Behind a byte that its vocabulary lacks, a byte-level tokenizer gives places one letter too early."""
    ids = single_bytes.convert_tokens_to_ids(["d", "o", "g"])
    one_early = [("d", 0, 1), (" ", 1, 2), ("o", 2, 3)]
    assert label_ids(single_bytes, ids, lambda: one_early).texts == ("d", "·o", "·g")


def test_blank_tokens_are_told_apart() -> None:
    lens = model.load("python", device="cpu")
    spelled = {i: lens.tokenizer.decode([i]) for i in range(lens.config.vocab_size)}
    blank = {i: text for i, text in spelled.items() if text and not text.strip()}
    labels = dict(zip(blank.values(), lens.labels(list(blank)), strict=True))
    assert len(set(labels.values())) == len(blank) > 20
    assert (labels["\n"], labels["\n    "], labels["  "]) == ("⏎", "⏎␣×4", "␣␣")


def test_candidates_are_labelled_one_by_one_and_those_that_look_alike_are_told_apart(
    lens: Translator, single_bytes: PreTrainedTokenizerFast, wordpiece: PreTrainedTokenizerFast
) -> None:
    letters = [*bytes_to_unicode().values(), "Ġ(", "Ġthe", "the"]
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    made.decoder = decoders.ByteLevel()
    candidates = [letters.index(one) for one in ("(", "Ġ(", "Ġthe", "(", "Ġ", "æ", "the")]
    labels = labels_apart(PreTrainedTokenizerFast(tokenizer_object=made), candidates)
    assert labels == ("(", "␣(", "␣the", "(", "␣", "‹E6›", "the")
    assert labels_apart(PreTrainedTokenizerFast(tokenizer_object=made), candidates[1:3]) == ("(", "the")
    assert labels_apart(single_bytes, single_bytes("日", add_special_tokens=False)["input_ids"]) == (
        "‹E6›", "‹97›", "‹A5›",
    )  # fmt: skip
    assert labels_apart(wordpiece, wordpiece.convert_tokens_to_ids(["u", "##u", "[CLS]"])) == ("u", "·u", "[CLS]")
    alone = lens.labels([200, 201])
    assert lens.labels([201, 200]) == alone[::-1]
    assert len({*lens.labels(range(lens.config.vocab_size))}) == lens.config.vocab_size
