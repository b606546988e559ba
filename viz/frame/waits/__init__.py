"""Waits that a page tells of, with a button that ends them."""
