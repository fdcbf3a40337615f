"""Scoring an answer against accepted ones: exact match and F1 as HotpotQA, 2WikiMultiHopQA and MuSiQue do
(the rules of SQuAD 1.1, Rajpurkar et al. 2016; yes/no from HotpotQA, Yang et al. 2018).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import Final

_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_CLOSED: Final = ("yes", "no", "noanswer")


def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation, without the articles a, an, the, single spaces."""
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, accepted: Iterable[str]) -> bool:
    """Does the answer equal an accepted one after normalisation?"""
    return normalise(answer) in {normalise(gold) for gold in accepted}


def f1(answer: str, accepted: Iterable[str]) -> float:
    """The best harmonic mean of word precision and recall over the accepted answers, in [0, 1].

    Where either side is yes, no or noanswer, only equality counts.
    """
    return max((_f1(normalise(answer), normalise(gold)) for gold in accepted), default=0.0)


def _f1(answer: str, gold: str) -> float:
    if answer == gold:
        return 1.0
    if answer in _CLOSED or gold in _CLOSED:
        return 0.0
    came, wanted = Counter(answer.split()), Counter(gold.split())
    common = (came & wanted).total()
    return 2 * common / (came.total() + wanted.total()) if common else 0.0
