"""What belongs together in Python source: brackets, uses and definitions, arguments and parameters, blocks."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

RELATIONS = ("bracket", "name", "argument", "block")
OPENING = {")": "(", "]": "[", "}": "{"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Span = tuple[int, int]  # first letter, and the letter after the last


@dataclass(frozen=True)
class CodeLink:
    """Two places of a program that belong together.

    Attributes:
        relation: one of `RELATIONS`.
        later: the closing bracket, the use of a name, the argument, or the first word of an indented line.
        earlier: the opening bracket, the definition, the parameter, or the first word of the line that opens the block.
    """

    relation: str
    later: Span
    earlier: Span


@dataclass(frozen=True)
class Program:
    """What is read of a program.

    Attributes:
        links: in the order of their later places.
        wrong_line: number of the first line that cannot be read, from 1; 0 where all can. What stands above is read.
    """

    links: tuple[CodeLink, ...]
    wrong_line: int


def read_program(text: str) -> Program:
    """The links of a Python program, by Python's own `ast` and `tokenize`; those above the first line that fails."""
    text = text.replace("\r\n", " \n").replace("\r", "\n")  # as Python reads line ends; letters keep their places
    wrong, source = _wrong_line(text), text
    lines = list(io.StringIO(text))
    count = wrong - 1 if wrong else len(lines)
    while count > 0 and _wrong_line(source := "".join(lines[:count])):
        count -= 1
    if count <= 0:
        return Program((), wrong)
    tree = _parsed(source)
    places = _Places(source)
    found = [*_brackets(source, places), *_blocks(source, places), *_names(tree, places), *_arguments(tree, places)]
    return Program(tuple(sorted(set(found), key=lambda link: (link.later, link.earlier))), wrong)


def parsed_program(source: str) -> ast.Module | None:
    """A text as Python reads it; None where it cannot, which null bytes and hundreds of brackets lead to as well."""
    try:
        return _parsed(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parsed(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes, which are not ours to judge
        return ast.parse(source)


def _wrong_line(source: str) -> int:
    """Number of the line that Python cannot read, from 1; 0 where it reads all."""
    try:
        _parsed(source)
        list(tokenize.generate_tokens(io.StringIO(source).readline))
    except SyntaxError as error:
        return min(max(error.lineno or 1, 1), source.count("\n") + 1)
    except (
        ValueError,
        RecursionError,
        MemoryError,
        tokenize.TokenError,
    ):  # null bytes; hundreds of brackets
        return 1
    return 0


class _Places:
    """Letters of a source by line and column."""

    def __init__(self, source: str) -> None:
        self.lines = list(io.StringIO(source))
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    def of_token(self, token: tokenize.TokenInfo) -> Span:
        """The span of a token of `tokenize`, whose columns are letters."""
        start = self.starts[token.start[0] - 1] + token.start[1]
        return start, start + len(token.string)

    def of_name(self, line: int, column: int, name: str) -> Span:
        """The span of a name from a place of `ast`, whose columns are bytes: its first occurrence from there on."""
        letters = len(self.lines[line - 1].encode()[:column].decode(errors="ignore"))
        text = "".join(self.lines[line - 1 : line + 20])
        found = re.compile(rf"\b{name}\b").search(text, letters) if name else None
        start = self.starts[line - 1] + (found.start() if found else letters)
        return start, start + len(name)


def _brackets(source: str, places: _Places) -> Iterator[CodeLink]:
    """From each closing bracket to its opening one."""
    open_ones: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.OP:
            continue
        if token.string in OPENING.values():
            open_ones.append(token)
        elif token.string in OPENING and open_ones:
            yield CodeLink("bracket", places.of_token(token), places.of_token(open_ones.pop()))


def _blocks(source: str, places: _Places) -> Iterator[CodeLink]:
    """From the first word of each indented line to the first word of the line that opens its block."""
    openers: list[tokenize.TokenInfo] = []
    first: tokenize.TokenInfo | None = None  # of the line before
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.INDENT and first is not None:
            openers.append(first)
        elif token.type == tokenize.DEDENT:
            openers.pop()
        elif token.type == tokenize.NEWLINE:
            begins = True
        elif begins and token.type not in (tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER):
            first, begins = token, False
            if openers:
                yield CodeLink("block", places.of_token(token), places.of_token(openers[-1]))


@dataclass
class _Scope:
    """The names that a module, function or class binds, each with its spans in the order of the text."""

    above: _Scope | None
    bound: dict[str, list[Span]] = field(default_factory=dict)

    def bind(self, name: str, span: Span) -> None:
        self.bound.setdefault(name, []).append(span)

    def find(self, name: str, before: int) -> Span | None:
        """The last binding of a name before a letter, in the innermost scope that has one."""
        earlier = [span for span in self.bound.get(name, ()) if span[0] < before]
        return max(earlier) if earlier else self.above.find(name, before) if self.above else None


class _Names(ast.NodeVisitor):
    """Bindings and uses of names, by scope; what a function sees of its class is left out of account."""

    def __init__(self, places: _Places) -> None:
        self.places, self.scope = places, _Scope(None)
        self.uses: list[tuple[str, Span, _Scope]] = []

    def visit_Name(self, node: ast.Name) -> None:
        span = self.places.of_name(node.lineno, node.col_offset, node.id)
        if isinstance(node.ctx, ast.Load):
            self.uses.append((node.id, span, self.scope))
        else:
            self.scope.bind(node.id, span)

    def visit_arg(self, node: ast.arg) -> None:
        self.scope.bind(node.arg, self.places.of_name(node.lineno, node.col_offset, node.arg))
        if node.annotation:
            self.visit(node.annotation)

    def visit_alias(self, node: ast.alias) -> None:
        name = (node.asname or node.name).split(".")[0]
        self.scope.bind(name, self.places.of_name(node.lineno, node.col_offset, name))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside(node, node.name, "class")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._inside(node, node.name, "def")

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._inside(node, node.name, "def")

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._inside(node)

    def _inside(self, node: ast.AST, name: str = "", word: str = "") -> None:
        if name and isinstance(node, (ast.ClassDef, *FUNCTIONS)):
            self.scope.bind(name, _defined(node, name, word, self.places))
        self.scope = _Scope(self.scope)
        self.generic_visit(node)
        assert self.scope.above is not None
        self.scope = self.scope.above


def _defined(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str, word: str, places: _Places
) -> Span:
    """The span of the name that a definition gives."""
    _, after = places.of_name(node.lineno, node.col_offset, word)
    line = places.lines[node.lineno - 1]
    column = after - places.starts[node.lineno - 1]
    return places.of_name(node.lineno, len(line[:column].encode()), name)


def _names(tree: ast.Module, places: _Places) -> Iterator[CodeLink]:
    """From each use of a name to where it was last given a value or a meaning."""
    visitor = _Names(places)
    visitor.visit(tree)
    for name, span, scope in visitor.uses:
        definition = scope.find(name, span[0])
        if definition:
            yield CodeLink("name", span, definition)


def _arguments(tree: ast.Module, places: _Places) -> Iterator[CodeLink]:
    """From the first word of each argument to its parameter, where the function is defined above."""
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)}
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        function = functions.get(call.func.id)
        if function is None or function.lineno >= call.lineno:
            continue
        parameters = [*function.args.posonlyargs, *function.args.args]
        named = {one.arg: one for one in [*parameters, *function.args.kwonlyargs]}
        given = list(zip(call.args, parameters, strict=False))
        given += [(one.value, named[one.arg]) for one in call.keywords if one.arg in named]
        for value, parameter in given:
            if isinstance(value, ast.Starred):
                break
            word = _first_word(value, places)
            yield CodeLink("argument", word, places.of_name(parameter.lineno, parameter.col_offset, parameter.arg))


def _first_word(node: ast.expr, places: _Places) -> Span:
    """The span of a name, or of the first letter of another expression."""
    return (
        places.of_name(node.lineno, node.col_offset, node.id)
        if isinstance(node, ast.Name)
        else (
            start := places.of_name(node.lineno, node.col_offset, "")[0],
            start + 1,
        )
    )
