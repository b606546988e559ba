"""Why attention: a text read word after word, and all at once, measured on this machine."""

from viz.frame import session
from viz.sections import why
from viz.widgets import headings

headings.heading("why")
why.measured(session.palette())
