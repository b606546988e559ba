"""Recipes that train the bundled models, one module each: `python -m model.training.NAME … --out DIR`."""
