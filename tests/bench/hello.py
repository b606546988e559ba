"""The baseline app for cold starts: it imports PyTorch and shows one line."""

import streamlit as st

st.title("Hello")
import torch  # noqa: E402

st.markdown(f"torch {torch.__version__} is here")
