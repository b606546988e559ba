"""Where the files lie that come with the app: bundled weights, examples, lessons, words of the interface."""

from pathlib import Path

ASSETS = Path(__file__).parent.parent / "assets"
