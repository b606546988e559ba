"""Benchmarks of Headlight, as ratios measured in one run.

    python -m tests.bench computing paging --models en-fr minilm
    python -m tests.bench views whole --models minilm --times 9
    python -m tests.bench browsing pointing typing cold
    python -m tests.bench crowd --sessions 1 10 30 --minutes 10
    python -m tests.bench load --models smollm2 --sessions 30 --minutes 2
    python -m tests.bench peers --scripts FOLDER
    python -m tests.bench memory --models smollm2 --lengths 2048
    python -m tests.bench sizing --models en-fr --times 20

Prints tables and writes bench.json. The models must be here (`python -m model.catalog get minilm`); what a person waits
for is measured in Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from model.memory import allocator

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the app does, before torch is imported
allocator.retain_freed_memory()

PARTS = ("computing", "paging", "views", "whole", "browsing", "pointing", "typing", "cold", "crowd", "sizing", "load")
PARTS += ("peers", "memory")
PEERS = [16, 64, 128, 256, 512]


def rows(part: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of one table, each yielded as soon as it is measured."""
    measures: dict[str, Callable[[Any], Iterator[dict[str, Any]]]] = {
        "computing": lambda module: module.measure(args.models, args.seconds, args.device),
        "paging": lambda module: module.measure(args.models, args.times, args.device),
        "views": lambda module: module.measure(args.models, args.lengths or [64, 512], args.times, args.device),
        "whole": lambda module: module.whole(args.models, args.lengths or [16, 64], args.times, args.device),
        "browsing": lambda module: module.measure(args.models, args.times, args.lengths),
        "pointing": lambda module: module.pointing(args.models, args.times, args.lengths or [16, 64]),
        "typing": lambda module: module.typing(args.models, args.lengths or [64, 512], args.times),
        "cold": lambda module: module.cold(args.times // 2),
        "crowd": lambda module: module.measure(args.sessions, args.minutes, args.together),
        "load": lambda module: module.measure(args.sessions, args.minutes, args.models[-1], args.words),
        "peers": lambda module: module.measure(args.scripts, args.times, args.lengths or PEERS),
        "memory": lambda module: module.measure(args.models, args.lengths or [2048]),
        "sizing": lambda module: module.measure(args.models, args.times, args.sentence_every, args.head_every),
    }
    # Only what is measured is imported: a machine with a GPU need not have a browser.
    where = {"typing": "browsing", "pointing": "browsing", "cold": "browsing", "whole": "views"}.get(part, part)
    return measures[part](import_module(f"tests.bench.{where}"))


def format_cell(value: object) -> str:
    """A table cell: whole numbers with separators, seconds and ratios with three digits."""
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--models", nargs="+", default=["en-fr", "minilm", "smollm2"])
    parser.add_argument("--device", default="cpu", help='not for clicks in a browser: "cuda" or "cuda, bfloat16"')
    parser.add_argument("--seconds", type=float, default=4.0, help="how long one thing is computed again and again")
    parser.add_argument("--times", type=int, default=6, help="how often one click is made, or one view opened")
    parser.add_argument("--sessions", nargs="+", type=int, default=[1, 10, 30])
    parser.add_argument("--minutes", type=float, default=0.5, help="how long a class works")
    parser.add_argument("--words", type=int, default=330, help="of a text, for load")
    parser.add_argument("--together", action="store_true", help="the class types its sentences in the same second")
    parser.add_argument("--scripts", type=Path, help="folder with what other libraries load from the network")
    parser.add_argument("--lengths", nargs="+", type=int, help="tokens, for parts that measure several")
    parser.add_argument("--sentence-every", type=float, default=30, help="seconds between a student's sentences")
    parser.add_argument("--head-every", type=float, default=1, help="seconds between the heads a student looks at")
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    args = parser.parse_args()
    tables: dict[str, list[dict[str, Any]]] = json.loads(args.out.read_text()) if args.out.exists() else {}
    for part in args.parts:
        tables[part] = []
        for row in rows(part, args):
            if not tables[part]:
                print(f"\n### {part}\n\n| {' | '.join(row)} |\n|{' --- |' * len(row)}")
            print(f"| {' | '.join(map(format_cell, row.values()))} |", flush=True)
            tables[part].append(row)
            args.out.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
