"""Positions: how a model without order in it learns where a token stands."""

import streamlit as st

from model.positions import frequencies, rotation, sinusoidal
from viz import parts, session
from viz.figures import positions as figures
from viz.text import say

parts.heading("positions")
for part in (r"2i)} = \sin", r"2i+1)} = \cos"):
    st.latex(rf"PE_{{(pos,\,{part}\!\left(\frac{{pos}}{{base^{{\,2i/d}}}}\right)")
own = session.lens().config
a, b, c = st.columns(3)
d_model = a.slider(say("positions.d_model"), 4, 512, own.d_model, 2, key="pe_d", bind="query-params")
base = b.select_slider(
    say("positions.base"), [10, 100, 1_000, 10_000, 100_000, 1_000_000], 10_000, key="pe_base", bind="query-params"
)
length = c.slider(say("positions.length"), 8, 256, 64, 8, key="pe_length", bind="query-params")
st.caption(
    say("positions.own" if (d_model, base) == (own.d_model, 10_000) else "positions.not_own", d_model=own.d_model)
)
encoding = sinusoidal(length, d_model, base)
palette = session.palette()

suggested = sorted(
    {0, 1, *(min(int(d_model * share) // 2 * 2 + odd, d_model - 1) for share in (0.15, 0.4) for odd in (0, 1))}
)
if any(dimension >= d_model for dimension in st.session_state.get("pe_dims", [])):
    st.session_state.pe_dims = suggested
dimensions = st.multiselect(say("positions.pick"), range(d_model), suggested, key="pe_dims", max_selections=8)
parts.draw(figures.waves(encoding, dimensions, palette), "waves", say("positions.waves_look"))
parts.draw(figures.table(encoding, palette), "pe_table", say("positions.table_look"))
parts.draw(figures.similarity(encoding, palette), "pe_similarity", say("positions.similarity_look"))

st.subheader(say("positions.rotation"), anchor=False)
st.markdown(say("positions.rotation_why"))
a, b, c = st.columns(3)
pair = a.slider(say("positions.pair"), 0, d_model // 2 - 1, min(8, d_model // 2 - 1), key="pe_pair")
start = b.slider(say("positions.start"), 0, length - 2, min(3, length - 2), key="pe_start")
offset = c.slider(say("positions.offset"), 1, max(length - 1 - start, 2), 1, key="pe_offset")
offset = min(offset, length - 1 - start)
error = abs(rotation(offset, d_model, base) @ encoding[start] - encoding[start + offset]).max()
angle = offset * float(frequencies(d_model, base)[pair])
left, right = st.columns([3, 2])
with left:
    parts.draw(figures.circle(encoding, pair, start, offset, palette), "circle", say("positions.circle_look"))
right.markdown(
    say("positions.rotated", pair=pair, offset=offset, radians=f"{angle:.4f}", start=start, error=f"{error:.1e}")
)
