"""Lab: many sentences, every head, with intervals; and which published findings hold for the model."""

import streamlit as st

from viz.frame import model_access, session
from viz.language.messages import say
from viz.sections.lab import findings, heads, runs, sentences
from viz.widgets import headings
from viz.widgets.menus import save_menu

if model_access.open_model().takes != "text":
    session.halt(say("lab.takes"))
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("lab")
    chosen = sentences.choose()
    found = runs.measurement(chosen.sentences) if chosen.sentences else None
if chosen.said:
    st.warning(chosen.said, icon=":material/edit:")
if not chosen.sentences:
    session.halt(say("lab.none"))
if found is None:
    st.markdown(say("lab.before"))
else:
    heads.draw(found, session.palette())
    save_menu.download_button("csv", found.csv, "headlight-lab.csv", "text/csv")
findings.draw(chosen.sentences)
