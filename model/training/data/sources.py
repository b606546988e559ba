"""Python source to train on: the standard library and the freely licensed packages of requirements.txt.

Everything is read from the environment that runs this; nothing is fetched. Tests, generated tables and files that are
not UTF-8 are left out, and large packages are cut down, so that none of them is most of the text.
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

TESTS = {"test", "tests", "testing", "idle_test", "_tests", "test_utils", "conftest.py", "site-packages", "__pycache__"}
COPIED = {"_vendor", "_distutils", "graph_objs", "validators"}  # copies of other packages; written by a generator
FREE = re.compile(r"\b(apache|bsd|mit)\b", re.IGNORECASE)
NOT_FREE = re.compile(r"\b(a|l)?gpl|mozilla|\bmpl\b", re.IGNORECASE)
LARGEST = 150_000  # bytes of a file; longer ones are mostly tables
MOST = 4_000_000  # bytes of one package
HELD_OUT = {"test": 800_000, "validation": 300_000}  # bytes, in groups of at most GROUP each
GROUP = 150_000


@dataclass(frozen=True)
class Source:
    """One module.

    Attributes:
        name: package and path in it; package: "python" for the standard library; licence: as the package states it.
        group: what stays in one part: a module or package of the standard library, a folder in a package.
    """

    name: str
    package: str
    licence: str
    group: str
    text: str


def licence_of(distribution: metadata.Distribution) -> str:
    """The licence that a package states: its expression, its classifiers or the first line of its licence field."""
    fields = distribution.metadata
    classifiers = [c.split("::")[-1].strip() for c in fields.get_all("Classifier") or [] if c.startswith("License ::")]
    expression, stated = (", ".join(fields.get_all(name) or []) for name in ("License-Expression", "License"))
    return expression or "; ".join(classifiers) or stated.strip().split("\n")[0]


def is_free(licence: str) -> bool:
    """Whether a stated licence is one of Apache, BSD and MIT."""
    return bool(FREE.search(licence)) and not NOT_FREE.search(licence)


def required(requirements: Path) -> list[metadata.Distribution]:
    """The installed packages that a requirements file names, and all that they require in turn."""
    lines = [line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    todo = [line for line in lines if line and not line.startswith("-")]
    found: dict[str, metadata.Distribution] = {}
    while todo:
        line = todo.pop()
        match = re.match(r"[A-Za-z0-9._-]+", line)
        name = re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""
        if not name or name in found or "extra ==" in line:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another platform
            continue
        todo += found[name].requires or []
    return [found[name] for name in sorted(found)]


def order(name: str) -> str:
    """A key that puts names into an order that is random and always the same."""
    return hashlib.sha256(name.encode()).hexdigest()


def is_wanted(path: Path) -> bool:
    """Whether a path in a package is that of a module which is no test."""
    is_test = re.match(r"test_|.*_test\.py", path.name)
    return path.suffix == ".py" and not (TESTS | COPIED) & set(path.parts) and not is_test


def read(file: Path) -> str | None:
    """The text of a module; None where it is too large, too small, empty of words, or not UTF-8."""
    if not file.is_file() or not 500 <= file.stat().st_size <= LARGEST:
        return None
    try:
        text = file.read_text(encoding="utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return None
    longest = max(map(len, text.split("\n")))
    digits = sum(c.isdigit() for c in text)
    return text if longest < 400 and text.isascii() and digits < 0.1 * len(text) else None


def modules() -> Iterator[tuple[str, str, Path, Path]]:
    """Package, licence, folder and path in it of every module of the standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root)
        if is_wanted(path):
            yield "python", "PSF-2.0", root, path


def package_modules(requirements: Path) -> Iterator[tuple[str, str, Path, Path]]:
    """The same of every freely licensed package."""
    for distribution in required(requirements):
        licence = licence_of(distribution)
        if is_free(licence):
            root = Path(str(distribution.locate_file("")))
            for path in sorted(Path(str(file)) for file in distribution.files or []):
                if is_wanted(path) and ".." not in path.parts:
                    yield distribution.metadata["Name"], licence, root, path


def collect(requirements: Path) -> list[Source]:
    """All modules to read, in an order that is random and always the same."""
    found: list[Source] = []
    sizes: dict[str, int] = {}
    seen: set[str] = set()
    every = sorted([*modules(), *package_modules(requirements)], key=lambda m: order(f"{m[0]}/{m[3].as_posix()}"))
    for package, licence, root, path in every:
        text = read(root / path) if sizes.get(package, 0) < (MOST if package != "python" else 10 * MOST) else None
        if text is None or order(text) in seen:
            continue
        seen.add(order(text))
        sizes[package] = sizes.get(package, 0) + len(text)
        group = "/".join(path.parts[: 1 if package == "python" else 2])
        found.append(Source(f"{package}/{path.as_posix()}", package, licence, f"{package}:{group}", text))
    return found


def installed_text(name: str) -> str | None:
    """The text of a module of this environment by the name that `Source` gives it; None where it is not read.

    Raises:
        importlib.metadata.PackageNotFoundError: its package is not installed.
    """
    package, path = name.split("/", 1)
    if package == "python":
        return read(Path(sysconfig.get_paths()["stdlib"]) / path)
    return read(Path(str(metadata.distribution(package).locate_file(path))))


def pinned(requirements: Path) -> set[str]:
    """The packages of which a requirements file names one version."""
    return {line.split("==")[0] for line in requirements.read_text(encoding="utf-8").splitlines() if "==" in line}


def lines_of(text: str) -> set[str]:
    """The lines of a module that are long enough to tell it from others."""
    return {line.strip() for line in text.split("\n") if len(line.strip()) >= 30}


def split(sources: Sequence[Source], shared: float = 0.2) -> dict[str, list[Source]]:
    """Parts that share no group; "train" is without modules of which more than a share of the lines is held out."""
    sizes: Counter[str] = Counter()
    for source in sources:
        sizes[source.group] += len(source.text)
    part_of = {}
    todo = iter(group for group in sorted(sizes, key=order) if sizes[group] <= GROUP)
    for part, size in HELD_OUT.items():
        filled = 0
        while filled < size and (group := next(todo, "")):
            part_of[group] = part
            filled += sizes[group]
    parts: dict[str, list[Source]] = {"train": [], "validation": [], "test": []}
    for source in sources:
        parts[part_of.get(source.group, "train")].append(source)
    held = set().union(*(lines_of(s.text) for part in HELD_OUT for s in parts[part]))

    def is_apart(source: Source) -> bool:
        lines = lines_of(source.text)
        return not lines or len(lines & held) <= shared * len(lines)

    parts["train"] = [source for source in parts["train"] if is_apart(source)]
    return parts
