"""The sections of the Code page: what each library computes, its source, and a head as a script."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from model.libraries.runner import PACKAGES, TENSORFLOW, LibraryError, Run, available
from model.libraries.script import script, source
from model.trace.layer_inputs import Layer, NoLayer
from model.trace.trace import Trace
from viz.figures.libraries import library_map
from viz.frame import results, session
from viz.frame.option_row import choice
from viz.language.messages import plain, say
from viz.widgets import badge, charts
from viz.widgets.pickers import View

TOLERANCE = 1e-4  # that of the model's own check
PARTS = ("layer", "formula")


def pick_part(found: Layer | NoLayer) -> str:
    """A widget: the whole layer or the formula alone; where there is no such layer, the reason."""
    if isinstance(found, NoLayer):
        st.info(say(f"code.no_layer_{found.reason}"), icon=":material/info:")
        return "formula"
    part = choice(say("code.part"), PARTS, PARTS[0], "part")
    st.caption(say(f"code.about_{part}"))
    if part == "layer":
        names = {f"w_{which}": f"`{name}`" for which, name in found.names.items()}
        st.caption(say("code.matrices", **names, d=found.inputs.asking.shape[1]))
    return part


def run_all(trace: Trace, view: View, part: str) -> dict[str, Run]:
    """What each library computed; a sentence for each that could not be run."""
    there = available()
    wanted = list(PACKAGES)
    if TENSORFLOW in there and st.toggle(
        say("code.tensorflow_too"), key="tensorflow", help=say("code.tensorflow_help"), bind="query-params"
    ):
        wanted.append(TENSORFLOW)
    found: dict[str, Run] = {}
    for library in wanted:
        try:
            with st.spinner(say("code.running", library=say(f"code.{library}"))):
                found[library] = results.library(trace, view.attention.kind, view.layer, library, part)
        except LibraryError as error:
            st.warning(say("code.missing", library=say(f"code.{library}"), detail=plain(str(error))))
    return found


def maps(runs: Mapping[str, Run], view: View, own_output: np.ndarray) -> None:
    """The chosen head's map from each library, and how far all heads and the output are from the model's own."""
    own = view.attention.weights(view.layer)
    every = list(runs.values())
    apart = max((_apart(a.weights, b.weights) for a in every for b in every), default=0.0)
    holds = all(_equal(one.weights, own) and _equal(one.output, own_output) for one in every)
    colour, icon = ("green", "verified") if holds else ("red", "error")
    how = "differ" if not holds else "same" if apart else "identical"
    verdict = say(f"code.{how}", heads=len(own), error=f"{apart:.1g}")
    st.markdown(f":{colour}[:material/{icon}: **{verdict}**]")
    st.caption(say("code.maps_look"))
    wide = 3 if len(runs) == 3 else 2
    names = list(runs)
    for start in range(0, len(names), wide):
        for column, name in zip(st.columns(wide), names[start : start + wide], strict=False):
            run = runs[name]
            title = say("code.map_title", library=say(f"code.{name}"), layer=view.layer, head=view.head)
            with column:
                figure = library_map(run.weights[view.head], view.attention, view.layer, title, session.palette())
                charts.draw(figure, f"map_{name}", say("code.map_look", how=run.how))
                off = {"weights": (run.weights, own), "output": (run.output, own_output)}
                lines = [say(f"code.{what}_off", heads=len(own), **_verdict(*pair)) for what, pair in off.items()]
                st.markdown("  \n".join(lines))


def listing(trace: Trace, view: View, part: str) -> None:
    """A library's source, and the chosen head as a script for it."""
    library = choice(say("code.library"), list(PACKAGES), "pytorch", "library", name=lambda name: say(f"code.{name}"))
    st.markdown(say("code.source", file=f"model/libraries/{library}.py", function=part))
    st.code(source(library), language="python")
    st.header(say("code.copy"), anchor=False)
    st.markdown(say("code.copy_why", library=say(f"code.{library}"), layer=view.layer, head=view.head))
    text = script(library, view.attention, view.layer, view.head, model=session.chosen(), text=trace.text)
    file = f"{view.attention.kind}_{view.layer}_{view.head}_{library}.py"
    st.download_button(say("code.download", file=file), text, file, "text/x-python", icon=":material/download:")
    st.code(text, language="python", height=420)


def _verdict(found: np.ndarray, own: np.ndarray) -> dict[str, str]:
    return {"sign": badge.sign(_equal(found, own)), "error": f"{_apart(found, own):.1g}"}


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def _equal(found: np.ndarray, own: np.ndarray) -> bool:
    """Within rounding of numbers of this size; never where something is not a number."""
    return _apart(found, own) <= TOLERANCE * max(1.0, float(np.abs(own).max()))
