"""One small random model of every class of the installed library, opened and compared: `python -m tests.sweep`."""
