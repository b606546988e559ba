"""Sentences on the page for inputs that a model cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from model.catalog.entries import CATALOG
from model.errors import InputError, ModelError
from viz.frame import guard, model_access, session
from viz.language.messages import has_message, say


@contextmanager
def input_errors_shown(box: str = "text") -> Iterator[None]:
    """A context around a run of the model that turns whatever it raises into a sentence on the page, and ends the page.

    What is wrong with the input is a warning, everything else an error.

    Args:
        box: prefix of the error messages, which names the widget an invalid text was typed into.

    Raises:
        Halt: after the warning was shown.
    """
    try:
        yield
    except InputError as error:
        reason = error.reason.replace("text_", f"{box}_") if error.reason.startswith("text_") else error.reason
        entry = CATALOG.get(session.chosen_model())
        if entry and has_message(f"errors.{reason}_{entry.reads[0]}"):  # a protein that is missing is no sentence
            reason = f"{reason}_{entry.reads[0]}"
        kind = error.values.get("kind")
        values = error.values | ({"attention": say(f"kinds.{kind}_attention")} if kind else {})
        st.warning(say(f"errors.{reason}", **values), icon=":material/edit:")
        raise session.Halt from error
    except ModelError as error:
        model_access.show_model_error(error, session.chosen_model())
        raise session.Halt from error
    except BaseException as error:
        guard.report_failure(error, "pass")
        raise session.Halt from error
