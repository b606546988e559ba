"""Uses: what transformers are used for, each with a model that opens in one click."""

from viz.sections import uses
from viz.widgets import headings

headings.page_heading("uses")
uses.draw()
