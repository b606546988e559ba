"""Where the JavaScript and the styles lie that run in the page."""

from pathlib import Path

BROWSER = Path(__file__).parent
