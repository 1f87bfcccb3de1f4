"""
The simulated tokenisation: a word of up to twelve characters, or one punctuation mark, with the white space before it,
is one token; an opening bracket or quote belongs to the word after it. Tokens joined are the text again. It counts a
little less than a real tokenizer does.
"""

import re
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence

MESSAGE_TOKENS = 3  # of a chat template: the role and two marks around each message
IMAGE_TOKENS = 64
VIDEO_TOKENS = 256
AUDIO_TOKENS = 32
VOCABULARY = 151_000
MOST_REMEMBERED = 100_000

_MARKS = r"!-/:-@\[-^`{-~।॥،؛؟。、！？…"
_TOKEN = re.compile(rf"\s*(?:[(\[{{\"]{{0,2}}[^\s{_MARKS}]{{1,12}}|[{_MARKS}])|\s+")


def tokenise(text: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(text))


class Vocabulary:
    """
    Numbers for tokens: the same token has the same number on every server. The way back is known for the tokens this
    server has met; others are empty, as numbers outside a real vocabulary are.
    """

    def __init__(self) -> None:
        self._tokens: OrderedDict[int, str] = OrderedDict()

    def ids(self, tokens: Iterable[str]) -> list[int]:
        return [self._id(token) for token in tokens]

    def text(self, ids: Sequence[int]) -> str:
        return "".join(self._tokens.get(number, "") for number in ids)

    def _id(self, token: str) -> int:
        number = zlib.crc32(token.encode("utf-8", "surrogatepass")) % VOCABULARY
        self._tokens[number] = token
        self._tokens.move_to_end(number)
        if len(self._tokens) > MOST_REMEMBERED:
            self._tokens.popitem(last=False)
        return number
