"""
Latin letters for the scripts of India, so that one word looks alike in all of them: वीडियो, ভিডিও and ವೀಡಿಯೊ as vidiyo,
bhidio and vidiyo, near to how people type it on a Latin keyboard, and to the loanword itself.

The blocks of these scripts in Unicode keep the order of ISCII (Unicode Standard, section 12.1): the same letter stands
at the same place in each block, so one table serves all of them. The transcription is coarse on purpose: no length of
vowels, no retroflexes, no final vowel that is written but not spoken.
"""

import re
import unicodedata
from functools import lru_cache

_FIRST, _LAST, _BLOCK = 0x0900, 0x0D7F, 0x80
_DANDAS = "\u0964\u0965"  # they end sentences in all of these scripts
_JOINERS = "\u200c\u200d"  # they only change the shape of the letters around them
_INDIC = re.compile(f"[{chr(_FIRST)}-\u0963\u0966-{chr(_LAST)}][{chr(_FIRST)}-\u0963\u0966-{chr(_LAST)}{_JOINERS}]*")


def _table(letters: str, latin: str) -> dict[str, str]:
    return dict(zip(letters, latin.split(), strict=True))


_CONSONANTS = _table(
    "कखगघङचछजझञटठडढणतथदधनऩपफबभमयरऱलळऴवशषसह",
    "k kh g gh n ch chh j jh n t th d dh n t th d dh n n p ph b bh m y r r l l l v sh sh s h",
)
_VOWELS = _table("अआइईउऊऋॠऌऍऎएऐऑऒओऔॐ", "a a i i u u ri ri l e e e ai o o o au om")
_SIGNS = _table("ािीुूृॄॅॆेैॉॊोौ", "a i i u u ri ri e e e ai o o o au")
_MARKS = {"ं": "n", "ँ": "n", "ः": "h"} | _table("०१२३४५६७८९", "0 1 2 3 4 5 6 7 8 9")
_KILLER, _NUKTA = "्", "़"
_DOTTED = {"j": "z", "ph": "f"}  # by a nukta: ज़, फ़
_ELSEWHERE = {  # letters that one script has and the common order has not
    "ॲ": "अ", "ੰ": "ं", "ੱ": "", "ੲ": "इ", "ੳ": "उ", "ੜ": "ड", "ৎ": "त्", "ৰ": "र", "ৱ": "व", "ৗ": "ौ", "ௗ": "ौ",
    "ୟ": "य", "ୱ": "व", "ൗ": "ौ", "ൺ": "ण्", "ൻ": "न्", "ർ": "र्", "ൽ": "ल्", "ൾ": "ळ्", "ൿ": "क्",
    **dict.fromkeys(_JOINERS, ""),
}  # fmt: skip


def romanised(text: str) -> str:
    """*text* with its Indian words in Latin letters; everything else as it is."""
    return _INDIC.sub(lambda found: _word(found[0]), text)


@lru_cache(maxsize=8192)
def _word(word: str) -> str:
    found: list[str] = []
    spelt = unicodedata.normalize("NFKC", word)
    inherent = False  # the last consonant still has the vowel that is not written
    for letter in map(_common, "".join(_ELSEWHERE.get(letter, letter) for letter in spelt)):
        if letter == _NUKTA:
            found[-1:] = [_DOTTED.get(latin, latin) for latin in found[-1:]]
            continue
        if inherent and letter != _KILLER and letter not in _SIGNS:
            found.append("a")
        inherent = letter in _CONSONANTS
        found.append(_CONSONANTS.get(letter) or _SIGNS.get(letter) or _VOWELS.get(letter) or _MARKS.get(letter, ""))
    return "".join(found)


def _common(letter: str) -> str:
    """The letter of Devanagari at the same place."""
    return chr(_FIRST + (ord(letter) - _FIRST) % _BLOCK)
