"""Pure functions: a Trace, an Attention or an array in, a Plotly figure out."""
