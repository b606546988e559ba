"""French sentences in the passé simple, the past tense of books, which nobody speaks and no class is taught first."""

from __future__ import annotations

import re
from collections.abc import Collection

# Of verbs that do not end in "-er"; forms that are also of another tense, such as "dit" and "vis", are left out.
IRREGULAR = re.compile(
    r"\b(?:(?:f|e|d|p|s|voul|cour|mour|véc|l|cr|par|dispar|reç|aperç|conn|reconn)(?:ut|urent)|fus|eus|fûmes|eûmes"
    r"|(?:v|t|dev|rev|ret|obt)(?:int|inrent)|tins|devins|revins|f(?:it|is|irent)|dirent|virent"
    r"|(?:pr|appr|compr|surpr|m|perm|prom)(?:it|irent)"
    r"|(?:sort|part|sent|dorm|perd|rend|entend|attend|répond|descend|écriv|ass|ouvr|offr|découvr|naqu|conduis)(?:it|irent))\b"
)
REGULAR = re.compile(r"\b([a-zà-ÿ]{2,})(?:a|ai|èrent|âmes|âtes)\b")


def is_literary(french: str, words: Collection[str]) -> bool:
    """Whether a verb of a French sentence stands in the passé simple.

    Args:
        french: the sentence.
        words: the words of the language that are known, in lower case: "arrêta" counts where "arrêter" is one.
    """
    if IRREGULAR.search(french.lower()):
        return True
    stems = REGULAR.findall(french)
    # "-ea" is of verbs in "-ger" ("mangea"), "-ça" of those in "-cer"; the future, "-era", has no such infinitive.
    return any(f"{stem.removesuffix('e').replace('ç', 'c')}er" in words for stem in stems)
