"""What Python's own parser says of a program: brackets, names, arguments, blocks; and where it stops reading."""

from __future__ import annotations

import pytest

from model.structures.program import Program, read_program

CODE = """import numpy as np

def mean(values, scale=1):
    total = 0
    for value in values:
        total += value
    return total / (len(values) * scale)

print(mean([1, 2], scale=np.pi))
"""


def named(program: Program, text: str, relation: str) -> list[tuple[str, int, str, int]]:
    """Links as words, each with its line."""

    def one(span: tuple[int, int]) -> tuple[str, int]:
        return text[slice(*span)], text[: span[0]].count("\n") + 1

    return [one(link.later) + one(link.earlier) for link in program.links if link.relation == relation]


def test_each_relation_is_found_where_it_stands() -> None:
    program = read_program(CODE)
    assert program.wrong_line == 0
    names = named(program, CODE, "name")
    assert ("values", 5, "values", 3) in names  # the parameter, not an earlier word that looks alike
    assert ("value", 6, "value", 5) in names
    assert ("total", 7, "total", 6) in names  # where it was last given a value
    assert ("mean", 9, "mean", 3) in names
    assert ("np", 9, "np", 1) in names
    assert not [one for one in names if one[0] in ("len", "print")]  # nobody defines them here
    assert named(program, CODE, "argument") == [("[", 9, "values", 3), ("np", 9, "scale", 3)] or named(
        program, CODE, "argument"
    ) == [("[", 9, "values", 3), ("n", 9, "scale", 3)]
    blocks = named(program, CODE, "block")
    assert [(word, opener) for word, _, opener, _ in blocks] == [
        ("total", "def"), ("for", "def"), ("total", "for"), ("return", "def"),
    ]  # fmt: skip
    brackets = named(program, CODE, "bracket")
    assert (")", 7, "(", 7) in brackets
    assert len(brackets) == CODE.count(")") + CODE.count("]")


def test_a_name_in_a_function_hides_the_one_outside() -> None:
    code = "x = 1\ndef f(x):\n    return x\ny = x\n"
    found = named(read_program(code), code, "name")
    assert found == [("x", 3, "x", 2), ("x", 4, "x", 1)]


def test_letters_of_two_bytes_move_nothing() -> None:
    code = 'é = "ü"; b = é\n'
    (link,) = [one for one in read_program(code).links if one.relation == "name"]
    assert (code[slice(*link.later)], link.later[0]) == ("é", code.rindex("é"))


@pytest.mark.parametrize(
    ("code", "line"),
    [("a = (1)\nb = )\n", 2), ("def f(x):\n    return x / len(", 2), ("x = 1\n  y = 2", 2), ("\0", 1), ("(" * 300, 1)],
)
def test_what_does_not_parse_is_named_by_its_line(code: str, line: int) -> None:
    assert read_program(code).wrong_line == line


def test_what_stands_above_an_unfinished_line_is_read() -> None:
    code = "def f(x):\n    y = x\n    return y / len("
    program = read_program(code)
    assert program.wrong_line == 3
    assert ("x", 2, "x", 1) in named(program, code, "name")


def test_line_ends_of_other_systems() -> None:
    code = "a = 1\r\nb = a\r\n"
    (link,) = [one for one in read_program(code).links if one.relation == "name"]
    assert code[slice(*link.later)] == code[slice(*link.earlier)] == "a"
    assert read_program("a = 1\x0c\nb = a\rc = b").wrong_line == 0
