"""Folders made out of the files of a wheel: ONNX read as data, sequences of symbols, the models that were fetched."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import model
from model.catalog.conversion import onnx_models
from model.catalog.conversion.converters import CONVERTERS, convert
from model.catalog.conversion.onnx_graph import read_graph
from model.catalog.entries import CATALOG
from model.errors import ModelError
from tests.model.catalog.test_catalog import fetched

# A graph that the onnx library wrote: a MatMulInteger by (numbers − 5) · 0.5, a norm, and a table whose numbers stand
# in int32_data with zero point 128 and scale 0.25.
GRAPH = (
    "eNp1j8FKw0AQhnc2jYYFJUQFG6WWnGSFRE9CDlZzM9CLPkCI6TYNbjc23WCSU/RhfA4fyHfQJRYKgV5mGOab4fuNQ/9LIx9AoCKnuRCV709jOS15"
    "dButyljIrGEzgquGDHvbhhV59JZnQlpQ2zceE4n3wvPk1b32eFyzQvVnxucPUjL1Jhfeytscd4+dg//pUUiWsoIcEagtaGzdKxgvncGTqhak9NLA"
    "hmZqwU67cA+Rn5He0rGidluGoNORCcFxj1gnMWfhACE0oVcGVsSZiuLOMxHzqAsSibxYuu8sSxcyNBD6niA0vqdUiWET033Uwi98QjBcuutFXLDZ"
    "ht0qUkdxuIXA7iNbP3phgqM02rvgpE91jgE2z/8AYeSDlA=="
)
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def test_every_converter_that_the_catalog_names_is_there() -> None:
    named = {entry.wheel.converter for entry in CATALOG.values() if entry.wheel and entry.wheel.converter}
    assert named == set(CONVERTERS)


def test_an_onnx_file_is_read_as_data(tmp_path: Path) -> None:
    file = tmp_path / "graph.onnx"
    file.write_bytes(zlib.decompress(base64.b64decode(GRAPH)))
    nodes, stored = read_graph(file)
    assert [node.op_type for node in nodes] == ["MatMulInteger", "Relu"]
    assert nodes[1].outputs == ("z",)
    assert stored["onnx::MatMul_7_quantized"].tolist() == [[0, 10, -20], [30, 5, -128]]
    weights = onnx_models._t5_weights(nodes, stored)
    matrix = weights["encoder.block.0.layer.0.SelfAttention.q.weight"]  # as the library keeps it: [out, in]
    assert matrix.tolist() == [[-2.5, 12.5], [2.5, 0.0], [-12.5, -66.5]]
    assert weights["shared.weight"].tolist() == [[-32.0, 0.0], [31.75, 0.5]]
    assert weights["encoder.final_layer_norm.weight"].tolist() == [1.5, 2.5]


def test_a_broken_onnx_file_is_said(tmp_path: Path) -> None:
    file = tmp_path / "graph.onnx"
    file.write_bytes(zlib.decompress(base64.b64decode(GRAPH))[:200])
    with pytest.raises(ModelError, match=r"graph\.onnx cannot be read"):
        read_graph(file)


def save_pickled(folder: Path, module: transformers.PreTrainedModel, symbols: list[str]) -> None:
    """A wheel's folder, as of old: a pickle of tensors, a list of symbols, and a configuration with a path in it."""
    folder.mkdir(parents=True)
    module.config._name_or_path = "/home/somebody"
    module.config.save_pretrained(folder)
    weights = module.state_dict() | {"cls.species.bias": torch.zeros(6)}
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "vocab.txt").write_text("\n".join(MARKS + symbols))


def test_a_protein_is_read_residue_by_residue_whatever_its_case(tmp_path: Path) -> None:
    symbols = list("ACDEFGHIKLMNPQRSTVWY")
    torch.manual_seed(1)
    config = transformers.BertConfig(vocab_size=25, max_position_embeddings=64, **SMALL)
    save_pickled(tmp_path / "wheel", transformers.BertForMaskedLM(config), symbols)
    convert("antiberty", tmp_path / "wheel", tmp_path / "made")
    assert "somebody" not in (tmp_path / "made" / "config.json").read_text()
    lens = model.load(str(tmp_path / "made"), "cpu")
    trace = lens.trace("EVQ lve\n[MASK]X")
    tokens = trace.tokens["encoder"]
    assert tokens.texts == ("[CLS]", *"EVQlve", "[MASK]", "[UNK]", "[SEP]")
    assert ("unknown", "X") in trace.notes  # and what it was is named
    assert trace.ids["encoder"][1:7] == lens.trace("EVQLVE").ids["encoder"][1:7]
    assert not any(tokens.inside_word)  # a protein is not one long word
    assert trace.ids["encoder"][8] == 1  # X is no residue that it knows
    assert trace.verify().ok
    assert lens.guess("EVQLVE", 3) is not None


def test_a_reaction_is_read_symbol_by_symbol(tmp_path: Path) -> None:
    symbols = ["C", "O", "Cl", "Br", "[nH]", "(", ")", "=", ".", ">>", "%10", "c"]
    torch.manual_seed(1)
    config = transformers.AlbertConfig(vocab_size=5 + len(symbols), embedding_size=16, **SMALL)
    save_pickled(tmp_path / "wheel", transformers.AlbertForMaskedLM(config), symbols)
    convert("rxnmapper", tmp_path / "wheel", tmp_path / "made")
    trace = model.load(str(tmp_path / "made"), "cpu").trace("ClCC(=O)O.c%10[nH]>>BrC")
    texts = trace.tokens["encoder"].texts
    assert texts[1:-1] == ("Cl", "C", "C", "(", "=", "O", ")", "O", ".", "c", "%10", "[nH]", ">>", "Br", "C")
    assert trace.verify().ok


def test_rxnmapper_finds_where_atoms_come_from() -> None:
    trace = model.load(fetched("rxnmapper"), "cpu").trace("CC(=O)O.OCC>>CC(=O)OCC")
    assert trace.verify().ok
    tokens = trace.tokens["encoder"].texts
    weights, arrow = trace.attentions["encoder"].weights(10)[5], tokens.index(">>")
    atoms = [place for place, text in enumerate(tokens) if text in ("C", "O")]
    sources = [place for place in atoms if place < arrow]
    found = {place: max(sources, key=lambda source: weights[place, source]) for place in atoms if place > arrow}
    assert [found[place] for place in (13, 14, 17)] == [1, 2, 5]  # the acid's two carbons and the oxygen that stays


def test_titler_writes_a_title() -> None:
    lens = model.load(fetched("titler"), "cpu")
    text = "The school board met on Tuesday. It talked about long bus rides and decided to hire five more drivers"
    trace = lens.trace(f"summarize: {text} before January.")
    assert trace.output == "Plan to hire more drivers"
    assert trace.verify().ok


def test_antiberty_finds_the_other_half_of_the_bridge() -> None:
    start = "EVQLVESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKGRFTISRDNSKNTLYLQMNSLRAEDTAVYYCAK"
    trace = model.load(fetched("antiberty"), "cpu").trace(start)
    first, second = (place for place, text in enumerate(trace.tokens["encoder"].texts) if text == "C")
    weight = trace.attentions["encoder"].weights(4)[7, first, second]
    assert weight > 5 / len(trace.tokens["encoder"])  # two cysteines that a bond joins, 74 residues apart


def test_dinov2_is_the_model_of_the_graph() -> None:
    """The mean of [CLS]'s last attention on the thing in the picture, against that on the background."""
    trace = model.load(fetched("dinov2"), "cpu").trace(Path("assets/pictures/fish.png"))
    assert trace.verify().ok
    seen = trace.picture
    assert seen is not None
    assert (seen.rows, seen.columns, seen.first) == (16, 16, 1)
    looked = trace.attentions["encoder"].weights(11)[:, 0, 1:].mean(0).reshape(16, 16)
    middle = looked[5:11, 4:12].mean()
    border = np.concatenate([looked[0], looked[-1]]).mean()
    assert middle > 1.5 * border
