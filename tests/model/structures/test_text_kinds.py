"""What most of a text is, on what people type, and on what only looks like it."""

from __future__ import annotations

import time

import pytest

from model.structures.text_kinds import suits, text_kind

CODE_LINES = (
    "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total / len("
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("EVQLVESGGGLVQPGGSLRLSCAASGFTF", "protein"),
        (">1ABC chain A\nEVQLVESGGGLVQ\nPGGSLRLSCAASGFTF\n", "protein"),
        ("CC(=O)O.OCC>>CC(=O)OCC", "reaction"),
        ("c1ccccc1[N+](=O)[O-]", "reaction"),
        (CODE_LINES, "code"),
        ("import os\nprint(os.getcwd())", "code"),
        ("x = [1, 2, 3]", "code"),
        ("1 MKTAYIAKQR QISFVKSHFS\n21 RQLEERLGLI EVQAPILSRV", "protein"),
        ("M K T A Y I A K Q R Q I S F V K", "protein"),
        ("MKTAYIAKQRQ--ISFVKSHFSRQ*", "protein"),
        (">a\nMKTAYIAKQRQISFVKSHFS\n>b\nMKTAYIAKQRQISFVKSHFS", "protein"),
        ("mktayiakqrqisfvkshfsrqleerlgliev", "protein"),
        ("ATGGCCATTGTAATGGGCCGC", "nucleotides"),
        ("augg ccau ugua augg gccg c", "nucleotides"),
        ("c1ccccc1", "reaction"),
        ("[Na+].[Cl-]", "reaction"),
        ("CCO . CC(=O)O >> CC(=O)OCC", "reaction"),
        ("CCO + CC(=O)O -> CC(=O)OCC", "reaction"),
        ("CC(=O)OC1=CC=CC=C1C(=O)O aspirin", "reaction"),
        ("def f(x):\n    return x + 1", "code"),
        ('def f(x):\n    """Return the square.\n\n    It is a number.\n    """\n    retu', "code"),
        ("total = compute(\n    first,\n    second,\n)", "code"),
        ('{\n  "name": "Anna",\n  "pets": ["cat", "dog"]\n}', "code"),
        ("<html>\n<body>\n<p>Hello</p>\n</body>\n</html>", "code"),
        ("const x = 3;\nconsole.log(x);", "code"),
        ("SELECT name FROM people WHERE age > 12;", "code"),
        ("print('hello')", "code"),
        ("The red car stopped.", "language"),
        ("HELLO WORLD THIS IS LOUD", "language"),
        ("STOP", "language"),
        ("from here to there", "language"),
        ("for a while, return to sender", "language"),
        ("import duties rose in 2024", "language"),
        ("Is 2 + 2 = 4? He said so (twice).\nI think it is.", "language"),
        ("CONCISION", "language"),
        ("THE CAT IS IN THE TREE", "language"),
        ("MERRY CHRISTMAS", "language"),
        ("MERRYCHRISTMASTALL", "language"),
        ("SILENCE\nPLEASE", "language"),
        ("HAHAHAHAHAHAHA", "language"),
        ("AAAAAAAAAAAAAAAA", "language"),
        ("(12+34)*5=230", "language"),
        ("==========", "language"),
        ("NO(NO)NO", "language"),
        ("BOOOO=(", "language"),
        ("if it rains, we stay at home:", "language"),
        ("for example, the cat (or the dog)", "language"),
        ("print this page: it is long (very)", "language"),
        ("I came; I saw; I conquered;", "language"),
        ("return home", "language"),
        ("E = mc^2", "language"),
        ("BINGO(5)", "language"),
        ("Name: Anna\nAge: 12", "language"),
        ("# Shopping list\n# milk", "language"),
        ("@anna are you there?", "language"),
        ("La voiture rouge s'est arrêtée (trop tard).", "language"),
        ("日本語のテキスト", "language"),
        ("", "language"),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    assert text_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "reads", "fits"),
    [
        ("MKTAY", "protein", True),  # too short to tell
        ("QVQLBJOUXZQESGGG", "protein", True),  # its page says which letter is none
        ("HELLO W0RLD 123 !!", "protein", False),
        ("CCO", "reaction", True),
        ("CCCCCCCCCCCC", "reaction", True),
        ("x = 3", "code", True),
        ("# Adds two numbers.", "code", True),
        ("CCO>>", "reaction", True),  # its page says what is missing
        ("The red car stopped.", "protein", False),
        ("The red car stopped.", "reaction", False),
        ("The red car stopped.", "code", False),
        ("EVQLVESGGGLVQPGG", "code", False),  # a name, as Python reads it
        ("ATGGCCATTGTAATGGGCCGC", "protein", False),
        ("x = 3", "language", True),
        ("", "protein", True),
    ],
)
def test_what_is_too_short_to_tell_suits_any_model(text: str, reads: str, fits: bool) -> None:
    assert suits(text, (reads,)) == fits


@pytest.mark.parametrize("text", ["C" * 50_000 + "!", "a.b[" * 10_000, "x, " * 20_000, "(" * 50_000, "if " * 20_000])
def test_no_text_takes_long(text: str) -> None:
    start = time.thread_time()
    text_kind(text)
    assert time.thread_time() - start < 5  # seconds of the processor, which others may be using
