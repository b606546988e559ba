"""Where tokens stand in their text: white space kept, letters as typed, sentences and words."""

from __future__ import annotations

from model.tokenization.text_layout import PlacedToken, place_tokens, sentences, token_spans, words
from model.trace.tokens import Tokens


def tokens(*texts: str, special: tuple[int, ...] = ()) -> Tokens:
    inside = tuple(text.startswith("·") for text in texts)
    return Tokens(texts, tuple(i in special for i in range(len(texts))), inside)


def whole(text: str, made: Tokens) -> str:
    return "".join(one.before + one.shown for one in place_tokens(made, text) if not one.special)


def test_indentation_and_line_breaks_are_kept() -> None:
    text = "def f(x):\n    return x + x"
    made = tokens("def", "f", "(", "x", ")", ":", "⏎", "␣", "return", "x", "+", "x")
    assert whole(text, made) == text
    shown = [one.shown for one in place_tokens(made, text)]
    assert shown[6:8] == ["\n", "    "]  # white space that is a token can be pointed at


def test_two_line_breaks_in_one_token() -> None:
    made = Tokens(("a", "⏎⏎", "b"), (False,) * 3, (False,) * 3, ("a", "ĊĊ", "b"), ("a", "\n\n", "b"))
    assert whole("a\n\nb", made) == "a\n\nb"


def test_white_space_that_the_model_never_sees_stays() -> None:
    text = "The  cat\n\n  sat, the cat"
    made = tokens("[CLS]", "the", "cat", "sat", ",", "the", "cat", "[SEP]", special=(0, 7))
    assert whole(text, made) == text  # in the letters that were typed
    placed = place_tokens(made, text)
    assert placed[3].before == "\n\n  "
    assert (placed[5].before, placed[5].shown) == (" ", "the")  # a token that repeats has its own place


def test_pieces_of_words_and_what_is_not_in_the_text() -> None:
    text = "unbelievable things"
    assert whole(text, tokens("un", "·believ", "·able", "things")) == text
    rewritten = place_tokens(tokens("un", "it", "·is", "things"), "un things")
    assert [one.before + one.shown for one in rewritten] == ["un", " it", "is", " things"]


def test_sentences_and_words() -> None:
    text = "It rains. We stay! \nThe end"
    made = tokens("It", "rains", ".", "We", "st", "·ay", "!", "The", "end", "</s>", special=(9,))
    placed = place_tokens(made, text)
    assert sentences(placed) == (range(0, 3), range(3, 7), range(7, 10))
    titled = [
        PlacedToken(before, shown, False)
        for before, shown in (("", "Dr"), ("", "."), (" ", "Mora"), ("", "."), (" ", "She"))
    ]
    assert sentences(titled) == (range(0, 4), range(4, 5))
    assert [word for word, _ in words(placed)] == ["it", "rains", ".", "we", "stay", "!", "the", "end"]
    assert words(placed)[4][1] == range(4, 6)


def test_a_text_read_letter_by_letter_stays_as_it_was_typed() -> None:
    made = Tokens(tuple("CC(=O)OC"), (False,) * 8, (False,) * 8)
    placed = place_tokens(made, "CC(=O)OC")
    assert [one.before for one in placed] == [""] * 8
    assert token_spans(placed, "CC(=O)OC") == [(i, i + 1) for i in range(8)]
