"""The baseline app for click times: one heat map, a row of buttons and a text box."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

size = int(st.query_params.get("size", 16))
head = st.segmented_control("Head", range(8), default=0, required=True, key="head") or 0
st.text_input("Text", key="text")
across, down = np.meshgrid(np.arange(size), np.arange(size))
weights = np.cos(0.1 * (head + 1) * (across - down)).astype(np.float32) ** 2
figure = go.Figure(go.Heatmap(z=weights))
figure.update_layout(title=f"head {head}", height=750)
st.plotly_chart(figure, key="heatmap")
