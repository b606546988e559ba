"""Why attention: a text read word after word, and all at once, measured on this machine."""

from viz import parts, session, why

parts.heading("why")
why.measured(session.palette())
