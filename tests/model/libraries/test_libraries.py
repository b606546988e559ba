"""The same head in three libraries: equal numbers, real source, and scripts that run on their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import model
from model.libraries import runner as libraries
from model.libraries.runner import PACKAGES, TENSORFLOW, LibraryError, LibraryRun, available_libraries, run
from model.libraries.script import formula_inputs, formula_source, head_script, library_source
from model.trace.attention import Attention
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.trace import Trace
from model.translator.translator import Translator
from tests.app.conftest import app as app  # the fixture
from tests.app.driving import badge, choose, go_to
from tests.model.huggingface.test_families import FAMILIES, TARGET, TEXT, build
from viz.language.messages import say

SENTENCE = "The red car stopped."
needs_tensorflow = pytest.mark.skipif(
    find_spec(TENSORFLOW) is None and "CI" not in os.environ,
    reason="TensorFlow is missing: pip install -r requirements-tensorflow.txt",
)


@pytest.fixture(scope="module")
def trace(lens: Translator) -> Trace:
    return lens.trace(SENTENCE)


def family(name: str, folder: Path) -> Trace:
    build(name, folder)
    return model.load(str(folder), device="cpu").trace(TEXT, TARGET if "cross" in FAMILIES[name][3] else None)


def formula_agrees(attention: Attention, layer: int, library: str) -> None:
    made = run(library, "formula", vars(formula_inputs(attention, layer)))
    weights = attention.weights(layer)
    np.testing.assert_allclose(made.weights, weights, atol=1e-5)
    np.testing.assert_allclose(made.output, weights @ attention.value(layer), atol=1e-5)
    assert (made.weights[:, ~attention.mask(layer)] == 0).all()


def layer_agrees(trace: Trace, kind: str, layer: int, library: str) -> LibraryRun:
    found = trace.multi_head(kind, layer)
    assert isinstance(found, MultiHeadLayer)
    made = run(library, "layer", vars(found.inputs))
    np.testing.assert_allclose(made.weights, trace.attentions[kind].weights(layer), atol=1e-5)
    np.testing.assert_allclose(made.output, found.output, atol=1e-5)
    return made


@pytest.mark.parametrize("library", PACKAGES)
@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_the_translator_in_each_library(trace: Trace, kind: str, library: str) -> None:
    for layer in range(3):
        formula_agrees(trace.attentions[kind], layer, library)
        layer_agrees(trace, kind, layer, library)


def test_the_translators_matrices_are_its_own(lens: Translator, trace: Trace) -> None:
    found = trace.multi_head("cross", 1)
    assert isinstance(found, MultiHeadLayer)
    own = lens.module.decoder[1].cross_attention
    for number, part in enumerate((own.w_q, own.w_k, own.w_v, own.w_o)):
        np.testing.assert_array_equal(found.inputs.w[number], part.weight.detach().numpy().T)
        np.testing.assert_array_equal(found.inputs.b[number], part.bias.detach().numpy())
    np.testing.assert_allclose(found.inputs.key_input, trace.hidden_states["encoder"][-1], atol=1e-5)
    assert found.names["q"] == "decoder.1.cross_attention.w_q"


@pytest.mark.parametrize("name", ["bert", "albert", "gpt2", "opt", "bart"])
def test_whole_layers_of_other_families(name: str, tmp_path: Path) -> None:
    trace = family(name, tmp_path)
    for kind, attention in trace.attentions.items():
        for layer in range(attention.num_layers):
            for library in PACKAGES:
                formula_agrees(attention, layer, library)
                layer_agrees(trace, kind, layer, library)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("llama", "between"),
        ("mistral", "between"),
        ("t5", "bias"),
        ("gemma2", "between"),  # its scores are capped
        ("gpt-oss", "between"),  # a sink takes a share of each row
    ],
)
def test_where_there_is_no_such_layer_the_formula_holds(name: str, reason: str, tmp_path: Path) -> None:
    trace = family(name, tmp_path)
    for kind in list(trace.attentions)[:2]:  # T5's cross-attention adds nothing, and is a layer
        found = trace.multi_head(kind, 1)
        assert isinstance(found, NotMultiHead)
        assert found.reason == reason
        assert say(f"code.no_layer_{reason}")
        for library in PACKAGES:
            formula_agrees(trace.attentions[kind], 1, library)


def test_a_family_that_shows_weights_only_has_no_layer(tmp_path: Path) -> None:
    found = family("xlnet", tmp_path).multi_head("encoder", 0)
    assert isinstance(found, NotMultiHead)
    assert found.reason == "unseen"


@pytest.mark.parametrize("library", PACKAGES)
def test_another_matrix_gives_other_weights(trace: Trace, library: str) -> None:
    found = trace.multi_head("encoder", 0)
    assert isinstance(found, MultiHeadLayer)
    for number, moved in enumerate(("weights", "weights", "output", "output")):  # W_Q, W_K, W_V, W_O
        w = found.inputs.w.copy()
        w[number, 0, 0] += 1
        made = run(library, "layer", vars(replace(found.inputs, w=w)))
        own = {"weights": trace.attentions["encoder"].weights(0), "output": found.output}
        assert np.abs(getattr(made, moved) - own[moved]).max() > 1e-3


@needs_tensorflow
@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_keras_on_tensorflow(trace: Trace, kind: str) -> None:
    assert TENSORFLOW in available_libraries()
    made = layer_agrees(trace, kind, 1, TENSORFLOW)
    assert re.fullmatch(r"keras [\d.]+ on tensorflow [\d.]+", made.versions)
    if kind == "decoder":  # once: it is the same function, and each run is a process of its own
        formula_agrees(trace.attentions[kind], 1, TENSORFLOW)


def test_a_process_that_fails_says_why(trace: Trace) -> None:
    with pytest.raises(LibraryError, match=r"unexpected keyword argument|No module named"):
        run(TENSORFLOW, "formula", {"nonsense": np.zeros(1)})


@pytest.mark.parametrize("library", PACKAGES)
@pytest.mark.parametrize(
    ("kind", "text"), [("decoder", SENTENCE), ("cross", "'''\\ \"\"\" {x} $y \n # " + "a b c " * 20)]
)
def test_the_script_prints_the_heads_weights(lens: Translator, library: str, kind: str, text: str) -> None:
    trace = lens.trace(text)
    attention = trace.attentions[kind]
    made = head_script(library, attention, 2, 5, model="en-fr", text=text)
    assert ("b64decode(" in made) == (text != SENTENCE)
    names = set(re.findall(r"^(?:import|from) (\w+)", made, re.MULTILINE))
    helpers = sys.stdlib_module_names | {"numpy"} | ({"torch"} if library == "huggingface" else set())
    assert names - helpers == {{"pytorch": "torch", "huggingface": "transformers"}.get(library, library)}
    printed = run_isolated(made)
    assert [line.split(" looks at ")[0] for line in printed] == [repr(token) for token in attention.query_tokens]
    weights = [[float(n) for n in re.findall(r" (\d\.\d{7})(?:,|$)", line)] for line in printed]
    np.testing.assert_allclose(weights, attention.weights(2)[5], atol=1e-6)


def test_the_scripts_numbers_are_exact_and_biased_heads_keep_their_bias(tmp_path: Path) -> None:
    attention = family("t5", tmp_path).attentions["encoder"]
    made = head_script("pytorch", attention, 1, 2, model="t5", text=TEXT)
    data = made[made.index("query_tokens =") : made.index("weights, output")]
    found: dict[str, np.ndarray] = {}
    exec(f"import base64\nimport numpy as np\n{data}", found)
    for name in ("query", "key", "value", "bias"):
        np.testing.assert_array_equal(found[name][0], getattr(attention, name)(1)[2])
    np.testing.assert_array_equal(found["mask"], attention.mask(1))
    assert found["scale"] == attention.scale(1)


@pytest.mark.parametrize("name", ["gemma2", "gpt-oss"])
def test_the_script_knows_caps_and_sinks(name: str, tmp_path: Path) -> None:
    attention = family(name, tmp_path).attentions["decoder"]
    printed = run_isolated(head_script("pytorch", attention, 1, 2, model=name, text=TEXT))
    weights = [[float(n) for n in re.findall(r" (\d\.\d{7})(?:,|$)", line)] for line in printed]
    np.testing.assert_allclose(weights, attention.weights(1)[2], atol=1e-6)


def run_isolated(code: str) -> list[str]:
    """What a script prints, run by a Python that sees nothing of this repository."""
    ran = subprocess.run(
        [sys.executable, "-I", "-"], input=code, capture_output=True, text=True, encoding="utf-8", cwd=Path(sys.prefix)
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_importing_keras_writes_no_file(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    code = "import model.libraries.keras as k; print(k.keras.backend.backend())"
    ran = subprocess.run([sys.executable, "-c", code], env=home, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "torch"
    # Matplotlib, which Keras imports where it is there, keeps a list of fonts; that is its own affair.
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "matplotlib" not in path.parts]


def test_the_page_shows_the_files_themselves(app: AppTest) -> None:
    go_to(app, "code")
    shown = [block.value for block in app.code]
    assert library_source("pytorch").strip() in [text.strip() for text in shown]
    assert any(formula_source("pytorch") in text for text in shown)
    choose(app, "library", "keras")
    assert any("keras.layers.MultiHeadAttention(" in block.value for block in app.code)
    assert not app.exception


def verdict(app: AppTest) -> str:
    return next(m.value for m in app.markdown if m.value.startswith((":green[:material/v", ":red[:material/e")))


def test_page_runs_layer_and_formula(app: AppTest) -> None:
    go_to(app, "code")
    for part in ("formula", "layer"):
        choose(app, "part", part)
        assert any(f"def {part}(" in block.value for block in app.code)
        assert verdict(app).startswith(":green[")
        assert len(app.get("plotly_chart")) == 3
    assert "Proved" in badge(app)


def test_the_page_turns_red_when_a_library_computes_something_else(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = libraries.run

    def wrong(library: str, part: str, inputs: dict[str, np.ndarray]) -> LibraryRun:
        made = right(library, part, inputs)
        return replace(made, weights=made.weights[::-1]) if library == "keras" else made

    monkeypatch.setattr(libraries, "run", wrong)
    go_to(app, "code")
    assert verdict(app).startswith(":red[")


def test_a_missing_library_gets_a_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "model.libraries.keras", raising=False)
    monkeypatch.setitem(sys.modules, "keras", None)
    go_to(app, "code")
    assert not app.exception
    assert ["Keras" in w.value for w in app.warning] == [True]
    assert len(app.get("plotly_chart")) == 2


@needs_tensorflow
def test_the_page_offers_tensorflow_where_it_is_installed(app: AppTest) -> None:
    go_to(app, "code")
    app.toggle(key="tensorflow").set_value(True).run()
    assert not app.exception
    assert not app.warning
    assert len(app.get("plotly_chart")) == 4
    assert verdict(app).startswith(":green[")
