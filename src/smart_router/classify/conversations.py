"""
Example conversations: what the classifier learns from how people go on.

A file with a list of conversations per language, or per language and writer. A conversation is a list of what one
user said, turn after turn: `use_case: text`, or `use_case: {attached: image|audio|video, text: …}` when a file comes
with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smart_router.classify.base import Example, LaterExample
from smart_router.classify.examples import example, lists_of
from smart_router.errors import ConfigurationError
from smart_router.registry import Registry


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one user said, in order; two turns at least."""

    turns: tuple[Example, ...]

    def later(self) -> Iterator[LaterExample]:
        """Every turn but the first, with what came before it."""
        for before, turn in zip(self.turns, self.turns[1:], strict=False):
            yield LaterExample(turn, before.use_case, before.text)


def load_conversations(registry: Registry) -> tuple[Conversation, ...]:
    """
    The registry's example conversations, less those with a use case that it does not teach.

    Raises:
        ConfigurationError: the file is not of the form above; names the file and the item.
    """
    if registry.conversations is None:
        return ()
    found = (_conversation(item, place, *by) for item, place, *by in _items(registry.beside(registry.conversations)))
    taught = frozenset(registry.taught)
    return tuple(one for one in found if all(turn.use_case in taught for turn in one.turns))


def _items(path: Path) -> Iterator[tuple[object, str, str, str]]:
    for language, writer, items, place in lists_of(path):
        for i, item in enumerate(items):
            yield item, f"{path}: {place}[{i}]", language, writer


def _conversation(item: object, place: str, language: str, writer: str) -> Conversation:
    if not isinstance(item, list) or len(item) < 2:
        raise ConfigurationError(f"{place}: must be a list of two turns or more, each `use_case: text`")
    return Conversation(tuple(_turn(turn, f"{place}[{i}]", language, writer) for i, turn in enumerate(item)))


def _turn(item: object, place: str, language: str, writer: str) -> Example:
    if not isinstance(item, dict) or len(item) != 1:
        raise ConfigurationError(f"{place}: must be one turn, `use_case: text`")
    ((use_case, said),) = item.items()
    return example(said, str(use_case), f"{place}.{use_case}", language, writer)
