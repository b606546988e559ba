"""Output: decoding step by step, or masked tokens; the logit lens."""

import streamlit as st

from viz.frame import model_access, session
from viz.frame.shown_run import results
from viz.sections.decomposition import credit
from viz.sections.output import decoding, player, readout
from viz.widgets import badge, headings, output_line

credit.leave()
palette = session.palette()
shared = trace = results.trace()
output_line.draw(shared)
writes = model_access.open_model().writes
decoding.restore_old_links()
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("output")
    if writes:
        how, forced = decoding.pick_decoding()
        seen = decoding.pick_head(shared)
    headings.at_box(shared, "decoder" if "decoder" in shared.tokens else "encoder", "output")
if writes:
    trace, decoded = decoding.generated_trace(shared, how, forced)
    room = decoding.other_run(shared, trace)
    seen = decoding.head_of(trace, seen)
    player.player(trace, how, decoded, seen, palette)
    readout.output_summary(trace, decoded, seen, palette)
else:
    readout.masked_token(trace, palette)
readout.logit_lens(trace, palette)
if trace is not shared and room is not None:
    with room:
        badge.verification_badge(trace, "output", exact=True)
