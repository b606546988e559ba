"""Builders of hostile folders by kind: each spoils a small honest model in one way."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file


def change(folder: Path, name: str, **fields: Any) -> None:
    """Change fields of a JSON file, which need not be there."""
    file = folder / name
    before = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(before | fields))


class Runs:
    """A pickle that would make a file beside itself."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"x": torch.zeros(1), "y": Runs(folder / "ran")}, folder / "pytorch_model.bin")


def old_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Runs(folder / "ran")))


def zip_bomb(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"0" * 300_000_000)


def remote_code(folder: Path) -> None:
    (folder / "modeling_x.py").write_text(
        f"import os\nos.mkdir({str(folder / 'ran')!r})\nclass X: pass\nclass C: pass\n"
    )
    auto = {"AutoConfig": "modeling_x.C", "AutoModel": "modeling_x.X", "AutoModelForCausalLM": "modeling_x.X"}
    change(folder, "config.json", auto_map=auto, model_type="headlight_unknown")


def remote_tokenizer(folder: Path) -> None:
    (folder / "tok.py").write_text(f"import os\nos.mkdir({str(folder / 'ran')!r})\nclass T: pass\n")
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["tok.T", "tok.T"]}, tokenizer_class="T")


def tokenizer(**parts: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder, "tokenizer.json", **parts)


def config(**fields: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder, "config.json", **fields)


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def weights(spoil: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        spoil(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return build


def reshape(tensors: dict[str, torch.Tensor]) -> None:
    name = next(name for name, one in tensors.items() if one.dim() == 2)
    tensors[name] = torch.zeros(3, 5)


def missing(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[next(name for name in tensors if ".0." in name)]


def cut(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", (folder / "model.safetensors").stat().st_size // 2)


def many_added(folder: Path) -> None:
    change(folder, "added_tokens.json", **{f"<t{i}>": 10**6 + i for i in range(20_000)})


def million_added(folder: Path) -> None:
    change(folder, "added_tokens.json", **{f"<t{i}>": 10**6 + i for i in range(1_000_000)})


def million_added_of_one_file(folder: Path) -> None:
    one = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    change(folder, "tokenizer.json", added_tokens=[one | {"id": i, "content": f"<t{i}>"} for i in range(1_000_000)])


def long_index(folder: Path) -> None:
    shards = {f"layer.{i}": f"model-{i}.safetensors" for i in range(100_000)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def linked_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / f"{folder.name}-outside.safetensors")
    (folder / "model-1.safetensors").symlink_to(folder.parent / f"{folder.name}-outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "model-1.safetensors"}}))


def socket_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(folder):  # the path of one may not be long
        made.bind("model.safetensors")


def many_files(folder: Path) -> None:
    for number in range(20_000):
        (folder / f"part-{number}.safetensors.txt").touch()


def unreadable_name(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff\n.safetensors")).write_bytes(b"x")


def safetensors(header: str) -> Callable[[Path], None]:
    """Replace the weights by a file with this header and a kilobyte of numbers."""
    content = header.encode()
    return lambda folder: (
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content + bytes(1024)) and None
    )


def own_generation(folder: Path) -> None:
    (folder / "custom_generate").mkdir()
    ran = f"import os\nos.mkdir({str(folder / 'ran')!r})\ndef generate(*args, **kwargs): pass\n"
    (folder / "custom_generate" / "generate.py").write_text(ran)
    change(folder, "generation_config.json", custom_generate=str(folder), trust_remote_code=True)


def linked_config(folder: Path) -> None:
    (folder / "config.json").rename(folder.parent / f"{folder.name}-outside.json")
    (folder / "config.json").symlink_to(folder.parent / f"{folder.name}-outside.json")


LOOP = "{% for i in range(10**9) %}{% for j in range(10**9) %}x{% endfor %}{% endfor %}"
# No message of the sandbox ends these: each range is as long as it allows.
SILENT_LOOP = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
ONE_SPLIT = {"behavior": "Isolated", "invert": False}
EXPLODING = [{"type": "Replace", "pattern": {"Regex": "."}, "content": "y" * 50_000}] * 3
BACKTRACKING = {"type": "Prepend", "prepend": "a" * 60}
DOUBLED = {"type": "Replace", "pattern": {"String": "q"}, "content": "qq"}
KINDS: dict[str, Callable[[Path], None]] = {
    "a pickle that runs code": pickled,
    "an old pickle that runs code": old_pickle,
    "a pickle that inflates": zip_bomb,
    "code for the model": remote_code,
    "code for the tokenizer": remote_tokenizer,
    "quantised by GPTQ": config(quantization_config={"quant_method": "gptq", "bits": 4}),
    "quantised by AWQ": config(quantization_config={"quant_method": "awq", "bits": 4}),
    "quantised by nobody": config(quantization_config={"quant_method": "../x"}),
    "quantised without a method": config(quantization_config={"bits": "four"}),
    "quantised by a list": config(quantization_config=[1, 2]),
    "a tokenizer that doubles letters": tokenizer(normalizer={"type": "Sequence", "normalizers": [DOUBLED] * 40}),
    "a tokenizer of no type": tokenizer(model={"type": "Nothing"}),
    "a tokenizer without a model": tokenizer(model=None),
    "a tokenizer whose ids are far away": tokenizer(
        model={"type": "WordLevel", "vocab": {"a": 4_000_000_000, "[UNK]": 0}, "unk_token": "[UNK]"}
    ),
    "a tokenizer that is no JSON": write("tokenizer.json", "{"),
    "a tokenizer that is nested deeply": write("tokenizer.json", "[" * 100_000),
    "a tokenizer's pattern that is none": tokenizer(
        pre_tokenizer={"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated", "invert": False}
    ),
    "a tokenizer class that there is not": lambda folder: change(
        folder, "tokenizer_config.json", tokenizer_class="NoSuchTokenizer"
    ),
    "settings of a tokenizer that are a list": write("tokenizer_config.json", "[1]"),
    "a limit of a tokenizer that is a text": lambda folder: change(
        folder, "tokenizer_config.json", model_max_length="many"
    ),
    "20,000 added tokens": many_added,
    "marks that are numbers": write("special_tokens_map.json", '{"unk_token": 7}'),
    "a chat template that never ends": lambda folder: change(folder, "tokenizer_config.json", chat_template=LOOP),
    "a million added tokens": million_added,
    "a million added tokens of the tokenizer itself": million_added_of_one_file,
    "a normalizer that makes each letter 50,000": tokenizer(normalizer={"type": "Sequence", "normalizers": EXPLODING}),
    "a pattern that goes back and forth": tokenizer(
        normalizer=BACKTRACKING,
        pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a+a*)+$b"}, **ONE_SPLIT},
    ),
    "a chat template that calls itself": lambda folder: change(
        folder, "tokenizer_config.json", chat_template="{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"
    ),
    "a chat template that writes for ever": lambda folder: change(
        folder, "tokenizer_config.json", chat_template="{{ 'x' * 10**11 }}"
    ),
    "a chat template that loops and writes nothing": lambda folder: change(
        folder, "tokenizer_config.json", chat_template=SILENT_LOOP
    ),
    "a chat template that is a number": lambda folder: change(folder, "tokenizer_config.json", chat_template=7),
    "a billion tokens to be written": write(
        "generation_config.json", '{"max_new_tokens": 1000000000, "num_beams": 1000000, "max_length": -1}'
    ),
    "a minimum of a billion tokens": config(min_length=10**9, max_length=10**9, num_beams=10**6),
    "settings of generation that are nested deeply": write("generation_config.json", "[" * 100_000),
    "marks that are nested deeply": write("special_tokens_map.json", '{"x": ' * 3000 + "1" + "}" * 3000),
    "a configuration with a byte order mark": lambda folder: (folder / "config.json").write_text(
        "\ufeff" + (folder / "config.json").read_text()
    ) and None,
    "a tokenizer with a byte order mark": lambda folder: (folder / "tokenizer.json").write_text(
        "\ufeff" + (folder / "tokenizer.json").read_text()
    ) and None,
    "an index of 100,000 files": long_index,
    "a shard that is a link out of the folder": linked_shard,
    "weights that are a socket": socket_shard,
    "a vocabulary that is a fraction": config(vocab_size=100.5),
    "a vocabulary inside of another part that is negative": config(text_config={"vocab_size": -5}),
    "a part for pictures that is huge": config(vision_config={"hidden_size": 10**9}),
    "labels that are a million": config(id2label={str(i): f"L{i}" for i in range(1_000_000)}),
    "no such activation": config(activation_function="os.system"),
    "no such type of numbers": config(dtype="float7", torch_dtype="float7"),
    "heads that do not divide": config(n_head=7),
    "no heads": config(n_head=0),
    "an architecture that is no model": config(architectures=["Trainer"]),
    "an architecture that is a number": config(architectures=[7]),
    "a type that is a path": config(model_type="../../gpt2"),
    "a type that is a list": config(model_type=["gpt2"]),
    "an epsilon that is a text": config(layer_norm_epsilon="small"),
    "an end mark beyond the vocabulary": config(eos_token_id=10**9),
    "settings of generation that are damaged": write("generation_config.json", "{"),
    "weights of another shape": weights(reshape),
    "weights that are missing": weights(missing),
    "weights that are cut off": cut,
    "weights of another kind of numbers": weights(
        lambda tensors: tensors.update({name: one.to(torch.int8) for name, one in tensors.items()})
    ),
    "an index of nothing": write("model.safetensors.index.json", '{"weight_map": {"x": "y.safetensors"}}'),
    "attention from a repository": config(_attn_implementation="kernels-community/x"),
    "attention of a part from a repository": config(attn_implementation={"text_config": "a/b"}),
    "experts from a repository": config(text_config={"experts_implementation": "a/b"}),
    "kernels": config(use_kernels=True),
    "a vocabulary elsewhere": lambda folder: change(
        folder, "tokenizer_config.json", vocab_file="/etc/passwd", tokenizer_file="/etc/passwd", name_or_path="../.."
    ),
    "added tokens that are far away": lambda folder: change(
        folder, "tokenizer_config.json", added_tokens_decoder={"4000000000": {"content": "<x>"}, "x": 7}
    ),
    "a chat template that looks around": lambda folder: change(
        folder, "tokenizer_config.json", chat_template="{{ ''.__class__.__mro__[1].__subclasses__() }}"
    ),
    "a chat template in a file of its own": write("chat_template.jinja", SILENT_LOOP),
    "likelihoods of no piece": tokenizer(model={"type": "Unigram", "unk_id": 10**9, "vocab": [["a", -1.0]]}),
    "merges of pieces that there are not": tokenizer(
        model={"type": "BPE", "vocab": {"a": 0}, "merges": [["x", "y"]], "unk_token": "a"}
    ),
    "a mark of five million letters": lambda folder: change(
        folder, "special_tokens_map.json", unk_token="<" + "x" * 5_000_000 + ">"
    ),
    "20,000 files": many_files,
    "a file whose name is no text": unreadable_name,
    "weights that overlap": safetensors(
        json.dumps({one: {"dtype": "F32", "shape": [16, 16], "data_offsets": [0, 1024]} for one in ("a", "b")})
    ),
    "weights of a kind that there is not": safetensors(
        '{"a": {"dtype": "F3", "shape": [256], "data_offsets": [0, 1024]}}'
    ),
    "weights of more numbers than there are": safetensors(
        '{"a": {"dtype": "F32", "shape": [4294967296, 4294967296, 0], "data_offsets": [0, 1024]}}'
    ),
    "code for generation": own_generation,
    "a configuration that is a link out of the folder": linked_config,
    "a processor without a tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
}  # fmt: skip
