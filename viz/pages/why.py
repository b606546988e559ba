"""Why: attention against a recurrent network, measured on this machine."""

from viz.frame import session
from viz.sections import why
from viz.widgets import headings

headings.page_heading("why")
why.recurrence_benchmark(session.palette())
