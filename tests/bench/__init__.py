"""Benchmarks, run by hand: `python -m tests.bench`. See docs/PERFORMANCE.md."""
