"""Names of languages for the codes of multilingual models, in the reader's language."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from transformers.models.m2m_100 import tokenization_m2m_100
from transformers.models.mbart50 import tokenization_mbart50
from transformers.models.nllb import tokenization_nllb

from viz.language.language_names import language_names
from viz.language.messages import ENGLISH, languages, set_language

M2M100 = [code for codes in tokenization_m2m_100.FAIRSEQ_LANGUAGE_CODES.values() for code in codes]
FAMILIES = [tokenization_nllb.FAIRSEQ_LANGUAGE_CODES, tokenization_mbart50.FAIRSEQ_LANGUAGE_CODES, M2M100]


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    set_language(ENGLISH)


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("codes", FAMILIES)
def test_every_language_of_the_families_has_a_name_of_its_own(codes: list[str], language: str) -> None:
    set_language(language)
    names = language_names(codes)
    assert list(names) == list(dict.fromkeys(codes))
    assert len(set(names.values())) == len(names)
    assert not [code for code, name in names.items() if name == code and len(code) > 3]


def test_names_are_those_of_the_reader() -> None:
    codes = ["fra_Latn", "fr_XX", "__fra__", "zho_Hans", "zho_Hant", "tlh_Piqd", "xx_unknown"]
    assert language_names(codes[:1]) == {"fra_Latn": "French"}
    assert language_names(["zho_Hans", "zho_Hant"])["zho_Hant"] == "Chinese (Traditional)"
    set_language("de")
    assert language_names(["__fra__", "deu_Latn", "xx_unknown"]) == {
        "__fra__": "Französisch",
        "deu_Latn": "Deutsch",
        "xx_unknown": "xx_unknown",
    }
    assert len(set(language_names(codes).values())) == len(codes)
