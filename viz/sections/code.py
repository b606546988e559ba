"""The sections of the Code page: one head recomputed by several libraries, their source, and the head as a script."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from model.libraries.runner import PACKAGES, TENSORFLOW, LibraryError, LibraryRun, available_libraries
from model.libraries.script import head_script, library_source
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.trace import Trace
from viz.figures.libraries import library_heatmap
from viz.frame import results, session
from viz.frame.option_row import option_row
from viz.language.messages import escape_markdown, say
from viz.widgets import badge, charts
from viz.widgets.pickers import SelectedHead

TOLERANCE = 1e-4  # absolute, for values up to 1; as in the verification
PARTS = ("layer", "formula")


def pick_part(projections: MultiHeadLayer | NotMultiHead) -> str:
    """The part to recompute, "layer" or "formula", chosen by a widget; "formula" where the layer has no matrices."""
    if isinstance(projections, NotMultiHead):
        st.info(say(f"code.no_layer_{projections.reason}"), icon=":material/info:")
        return "formula"
    part = option_row(say("code.part"), PARTS, PARTS[0], "part")
    st.caption(say(f"code.about_{part}"))
    if part == "layer":
        names = {f"w_{which}": f"`{name}`" for which, name in projections.names.items()}
        st.caption(say("code.matrices", **names, d=projections.inputs.query_input.shape[1]))
    return part


def run_libraries(trace: Trace, selected: SelectedHead, part: str) -> dict[str, LibraryRun]:
    """The run of each library by its name; a warning on the page for each that failed.

    Args:
        part: "layer" or "formula".
    """
    installed = available_libraries()
    wanted = list(PACKAGES)
    if TENSORFLOW in installed and st.toggle(
        say("code.tensorflow_too"), key="tensorflow", help=say("code.tensorflow_help"), bind="query-params"
    ):
        wanted.append(TENSORFLOW)
    runs: dict[str, LibraryRun] = {}
    for library in wanted:
        try:
            with st.spinner(say("code.running", library=say(f"code.{library}"))):
                runs[library] = results.library_run(trace, selected.attention.kind, selected.layer, library, part)
        except LibraryError as error:
            st.warning(say("code.missing", library=say(f"code.{library}"), detail=escape_markdown(str(error))))
    return runs


def library_maps(runs: Mapping[str, LibraryRun], selected: SelectedHead, own_output: np.ndarray) -> None:
    """Draw the head's map of each library, and the largest differences of weights and output from the model's own.

    Args:
        own_output: of the formula or the layer, as the libraries computed it.
            [head, query, head_dim] or [query, d_model]
    """
    own = selected.attention.weights(selected.layer)
    all_runs = list(runs.values())
    between_libraries = max((_max_difference(a.weights, b.weights) for a in all_runs for b in all_runs), default=0.0)
    holds = all(_within_tolerance(one.weights, own) and _within_tolerance(one.output, own_output) for one in all_runs)
    colour, icon = ("green", "verified") if holds else ("red", "error")
    how = "differ" if not holds else "same" if between_libraries else "identical"
    verdict = say(f"code.{how}", heads=len(own), error=f"{between_libraries:.1g}")
    st.markdown(f":{colour}[:material/{icon}: **{verdict}**]")
    st.caption(say("code.maps_look"))
    per_row = 3 if len(runs) == 3 else 2
    names = list(runs)
    for start in range(0, len(names), per_row):
        for column, name in zip(st.columns(per_row), names[start : start + per_row], strict=False):
            run = runs[name]
            title = say("code.map_title", library=say(f"code.{name}"), layer=selected.layer, head=selected.head)
            with column:
                figure = library_heatmap(
                    run.weights[selected.head], selected.attention, selected.layer, title, session.palette()
                )
                charts.chart_with_menu(figure, f"map_{name}", say("code.map_look", how=run.versions))
                pairs = {"weights": (run.weights, own), "output": (run.output, own_output)}
                lines = [say(f"code.{what}_off", heads=len(own), **_difference(*pair)) for what, pair in pairs.items()]
                st.markdown("  \n".join(lines))


def source_and_script(trace: Trace, selected: SelectedHead, part: str) -> None:
    """Draw a library's source, and the head as a script for that library, to be downloaded."""
    library = option_row(
        say("code.library"), list(PACKAGES), "pytorch", "library", name=lambda name: say(f"code.{name}")
    )
    st.markdown(say("code.source", file=f"model/libraries/{library}.py", function=part))
    st.code(library_source(library), language="python")
    st.header(say("code.copy"), anchor=False)
    st.markdown(say("code.copy_why", library=say(f"code.{library}"), layer=selected.layer, head=selected.head))
    text = head_script(
        library, selected.attention, selected.layer, selected.head, model=session.chosen_model(), text=trace.text
    )
    file = f"{selected.attention.kind}_{selected.layer}_{selected.head}_{library}.py"
    st.download_button(say("code.download", file=file), text, file, "text/x-python", icon=":material/download:")
    st.code(text, language="python", height=420)


def _difference(computed: np.ndarray, own: np.ndarray) -> dict[str, str]:
    """Mark and largest difference, as values of a message."""
    return {
        "sign": badge.check_mark(_within_tolerance(computed, own)),
        "error": f"{_max_difference(computed, own):.1g}",
    }


def _max_difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest absolute difference of two arrays."""
    return float(np.abs(one - other).max())


def _within_tolerance(computed: np.ndarray, own: np.ndarray) -> bool:
    """Whether two arrays agree within `TOLERANCE` times their size; False where one holds NaN."""
    return _max_difference(computed, own) <= TOLERANCE * max(1.0, float(np.abs(own).max()))
