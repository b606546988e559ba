"""Folder of the JavaScript and style sheets that run in the browser."""

from pathlib import Path

BROWSER = Path(__file__).parent
