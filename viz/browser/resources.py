"""Folder of the JavaScript and style sheets that run in the browser."""

from pathlib import Path

BROWSER = Path(__file__).parent


def script(*names: str) -> str:
    """The JavaScript files of these names as one script, in which each uses the names of the others."""
    return "\n".join((BROWSER / f"{name}.js").read_text(encoding="utf-8") for name in names)
