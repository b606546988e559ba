"""Measures how fast Headlight is, by hand: `python -m tests.bench`. See README.md beside this file."""
