"""The sections of the Code page: one head recomputed by several libraries, their source, and the head as a script."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import streamlit as st

from model.libraries.runner import PACKAGES, TENSORFLOW, LibraryError, LibraryRun, available_libraries
from model.libraries.script import function_source, head_script, library_source
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.trace import Trace
from viz.figures.libraries import library_heatmap
from viz.frame import session
from viz.frame.option_row import option_row
from viz.frame.shown_run import results
from viz.language.messages import escape_markdown, say
from viz.widgets import badge, charts
from viz.widgets.menus import save_menu
from viz.widgets.pickers import SelectedHead

TOLERANCE = 1e-4  # absolute, for values up to 1; as in the verification
PARTS = ("layer", "formula")
CODE_HEIGHT = 470  # pixels of the source beside the first map


def pick_part(projections: MultiHeadLayer | NotMultiHead) -> str:
    """The part to recompute, "layer" or "formula", chosen by a widget; "formula" where the layer has no matrices."""
    if isinstance(projections, NotMultiHead):
        return "formula"
    details = say("code.about_layer") + "\n\n" + say("code.about_formula")
    names = {f"w_{which}": f"`{name}`" for which, name in projections.names.items()}
    details += "\n\n" + say("code.matrices", **names, d=projections.inputs.query_input.shape[1])
    return option_row(say("code.part"), PARTS, PARTS[0], "part", help=details)


def pick_libraries() -> list[str]:
    """The libraries that run in this process, the one chosen by a widget first."""
    chosen = option_row(
        say("code.library"), list(PACKAGES), "pytorch", "library", name=lambda name: say(f"code.{name}")
    )
    return [chosen, *(name for name in PACKAGES if name != chosen)]


def library_maps(trace: Trace, selected: SelectedHead, part: str, order: Sequence[str], own_output: np.ndarray) -> None:
    """Draw the head's map of each library as soon as it has run; the first beside its source, then the verdict on all.

    Args:
        part: "layer" or "formula".
        order: names of the libraries.
        own_output: of the formula or the layer, as the libraries compute it.
            [head, query, head_dim] or [query, d_model]
    """
    room, switch = st.columns([8, 3], vertical_alignment="center")
    verdict = room.empty()
    with switch:
        if TENSORFLOW in available_libraries() and st.toggle(
            say("code.tensorflow_too"), key="tensorflow", help=say("code.tensorflow_help"), bind="query-params"
        ):
            order = [*order, TENSORFLOW]
    first, *rest = order
    left, right = st.columns([4, 5], gap="small")
    with right:
        st.markdown(say("code.source", file=f"model/libraries/{first}.py", function=part))
        st.code(function_source(first, part), language="python", height=CODE_HEIGHT, width="stretch")
    widths = [4, 4, 4 if len(rest) > 2 else 1]
    places = [left.empty(), *(column.empty() for column in st.columns(widths, gap="small"))]
    runs: dict[str, LibraryRun] = {}
    for name, place in zip(order, places, strict=False):
        with place, st.spinner(say("code.running", library=say(f"code.{name}"))):
            try:
                runs[name] = results.library_run(trace, selected.attention.kind, selected.layer, name, part)
            except LibraryError as error:
                st.warning(say("code.missing", library=say(f"code.{name}"), detail=escape_markdown(str(error))))
                continue
        with place.container():
            _library_map(name, runs[name], selected, own_output)
    said = _verdict(list(runs.values()), selected.attention.weights(selected.layer), own_output)
    verdict.markdown(said)
    save_menu.register_note(f"map_{first}", re.sub(r":material/\w+: |:(green|red)\[|\]$", "", said))


def _library_map(name: str, run: LibraryRun, selected: SelectedHead, own_output: np.ndarray) -> None:
    """Draw the head's map of one library, and its largest differences from the model's own numbers."""
    attention, layer, head = selected.attention, selected.layer, selected.head
    own = attention.weights(layer)
    library = say(f"code.{name}")
    title = say("code.map_title", library=library, layer=attention.layer_index[layer], head=head)
    st.markdown(f"**{library}**", help=say("code.map_look", how=run.versions) + " " + say("code.maps_look"))
    figure = library_heatmap(run.weights[head], attention, layer, title, session.palette())
    pairs = {"weights": (run.weights, own), "output": (run.output, own_output)}
    lines = [say(f"code.{what}_off", heads=len(own), **_difference(*pair)) for what, pair in pairs.items()]
    charts.chart(st, figure, f"map_{name}", "  \n".join(lines), titled=False)
    save_menu.menu(f"map_{name}")


def _verdict(runs: Sequence[LibraryRun], own: np.ndarray, own_output: np.ndarray) -> str:
    """Sentence on whether all libraries agree with the model and with each other."""
    between = max((_max_difference(a.weights, b.weights) for a in runs for b in runs), default=0.0)
    holds = all(_within_tolerance(one.weights, own) and _within_tolerance(one.output, own_output) for one in runs)
    colour, icon = ("green", "verified") if holds else ("red", "error")
    how = "differ" if not holds else "same" if between else "identical"
    return f":{colour}[:material/{icon}: **{say(f'code.{how}', heads=len(own), error=f'{between:.1g}')}**]"


def script(trace: Trace, selected: SelectedHead, library: str) -> None:
    """Draw, folded, the head as a script for a library, to be downloaded, and the whole file of that library."""
    name = say(f"code.{library}")
    with st.expander(say("code.copy"), icon=":material/content_copy:"):
        st.markdown(
            say("code.copy_why", library=name, layer=selected.attention.layer_index[selected.layer], head=selected.head)
        )
        text = head_script(
            library, selected.attention, selected.layer, selected.head, model=session.chosen_model(), text=trace.text
        )
        file = f"{selected.attention.kind}_{selected.layer}_{selected.head}_{library}.py"
        st.download_button(say("code.download", file=file), text, file, "text/x-python", icon=":material/download:")
        st.code(text, language="python", height=420)
    with st.expander(say("code.whole", file=f"model/libraries/{library}.py"), icon=":material/code:"):
        st.code(library_source(library), language="python", height=420)


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
