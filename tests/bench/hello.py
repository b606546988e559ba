"""What any app costs that computes with PyTorch: the bar for a cold start."""

import streamlit as st

st.title("Hello")
import torch  # noqa: E402

st.markdown(f"torch {torch.__version__} is here")
