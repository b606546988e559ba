"""Published findings about attention heads, checked on a model: `python -m model.findings MODEL`.

Each says what was published, what this model shows on held-out inputs, with a 95 % interval, and whether it holds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from model.catalog.entries import CATALOG
from model.errors import InputError, ModelError
from model.lab.finding_table import FindingSpec
from model.lab.findings import SENTENCES, Finding, check_findings
from model.structures.samples import held_out
from model.trace.lens import Lens

__all__ = ["Finding", "run"]


def run(
    model: str | Lens,
    sentences: Sequence[str] | None = None,
    findings: Sequence[FindingSpec] | None = None,
    *,
    name: str = "",
    seed: int = 0,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Finding]:
    """The findings that are about a model, each with its measured value and whether it holds.

    Args:
        model: a catalog id, hub name or folder, or a model that is open.
        sentences: to measure on; by default `SENTENCES` held-out inputs of the kind that the model reads.
        findings: those to check; all by default.
        name: id of an open model, by which findings about its heads are looked up.
        progress: called with the share done, 0 to 1.

    Raises:
        ModelError: the model cannot be opened.
        InputError: it reads no text.
    """
    if isinstance(model, str):
        from model import load

        name, model = model, load(model)
    given = default_sentences(name) if sentences is None else sentences
    return check_findings(model, name, given, findings, seed, progress)


def default_sentences(name: str, count: int = SENTENCES) -> tuple[str, ...]:
    """Held-out inputs of the kind that a model was made for, spread over all that there are."""
    entry = CATALOG.get(name)
    found = held_out(entry.kinds[0] if entry else "language")
    return found[:: max(len(found) // count, 1)][:count]


def _told(one: Finding) -> str:
    """A finding in four lines."""
    mark = {True: "holds         ", False: "does not hold ", None: "not known     "}[one.holds]
    at = "" if one.at is None else f" ({one.at[0]}, layer {one.at[1]}, head {one.at[2]})"
    measured = "not measured" if one.measured is None else f"measured {one.measured} {one.unit}{at}"
    return f"{mark} {one.name}\n    {measured}; published {one.published}\n    {one.why}\n    {one.source}"


def main(arguments: Sequence[str]) -> int:
    """Print the findings of a model; 0 where all could be looked at."""
    if len(arguments) != 1:
        print("Name one model: python -m model.findings en-fr. What there is: python -m model.catalog list")
        return 2
    try:
        found = run(arguments[0])
    except (ModelError, InputError) as error:
        print(error)
        return 1
    for one in found:
        print(_told(one))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
