"""Plotly figures as pure functions of a trace, an attention or an array: no state, no display, no data loading."""
