"""Benchmarks, run by hand: `python -m tests.bench`. See README.md in this folder."""
