"""
All that a classifier learns from: first turns, which are the example queries, and later turns.

What is out of scope is a first turn that belongs to every use case alike; as a later turn it changes nothing.

Later turns come from the example conversations; and as there can never be enough of those, every example query is put
behind something that was said before, of its own use case or of another, as if a user had gone on with it. A few turns
of conversations are also shown with a use case that their session should not have.
"""

import hashlib
import json
import random
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from smart_router.classify import lexical
from smart_router.classify.base import Example, LaterExample, Said
from smart_router.classify.conversations import Conversation, load_conversations
from smart_router.classify.examples import load_examples, load_out_of_scope
from smart_router.classify.head import Fingerprints
from smart_router.registry import Registry

STAYING = 0.7  # share of the example queries that follow something of the same use case
SAME_LANGUAGE = 0.8  # and that follows something in the same language
MISTAKEN = 0.05  # share of turns whose session stands wrong, as happens after a mistake: the words shall count then
UNKNOWN = 0.2  # share of the turns of conversations that are also shown without what came before, as some clients do


@dataclass(frozen=True)
class Lessons:
    """What a head is trained on; `said` and `turns` go through first turns, then later ones."""

    first: tuple[Example, ...]
    later: tuple[LaterExample, ...]

    @property
    def said(self) -> list[Said]:
        return [*(Said(example.text) for example in self.first), *(one.said for one in self.later)]

    def without(self, writers: Collection[str]) -> "Lessons":
        """Those that none of *writers* wrote."""
        return Lessons(
            tuple(example for example in self.first if example.writer not in writers),
            tuple(one for one in self.later if one.turn.writer not in writers),
        )

    @property
    def fingerprints(self) -> Fingerprints:
        """What tells texts and their use cases from others, sorted; of a kind too small to tell them back."""
        return np.unique([fingerprint(turn) for turn in self.turns]).astype(np.uint32)

    @property
    def turns(self) -> list[Example]:
        return [*self.first, *(one.turn for one in self.later)]


def fingerprint(turn: Example) -> int:
    return zlib.crc32(f"{turn.use_case}\0{turn.attached}\0{turn.text}".encode())


def load_lessons(registry: Registry) -> Lessons:
    """
    Raises:
        ConfigurationError: the examples are missing or malformed.
    """
    examples = load_examples(registry)
    return lessons_from(examples, load_conversations(registry), load_out_of_scope(registry))


def lessons_from(
    examples: Sequence[Example], conversations: Sequence[Conversation] = (), out_of_scope: Sequence[Example] = ()
) -> Lessons:
    """The same arguments give the same lessons, whatever the machine."""
    chance = random.Random(0)  # noqa: S311 - a mixture of lessons is no secret
    real = [one for conversation in conversations for one in conversation.later()]
    unknown = [LaterExample(one.turn, one.standing, "") for one in real if chance.random() < UNKNOWN]
    spliced = _spliced(examples, conversations, chance)
    names = sorted({example.use_case for example in examples})
    ignored = _ignored(out_of_scope, names, chance)
    mistaken = _mistaken(real, names, chance)
    return Lessons((*examples, *out_of_scope), (*real, *unknown, *mistaken, *spliced, *ignored))


def inputs_sha256(lessons: Lessons, use_cases: Sequence[str], encoder_sha256: str, recipe: Sequence[float]) -> str:
    """The identity of a head: all that it is made from. Another hash means that it has to be trained again."""
    rows = [[e.use_case, e.language, e.writer, e.attached, e.text] for e in lessons.turns]
    before = [[one.standing, one.previous] for one in lessons.later]
    made_from = [list(recipe), lexical.VERSION, lexical.DIMENSIONS, encoder_sha256, list(use_cases), rows, before]
    return hashlib.sha256(json.dumps(made_from, ensure_ascii=True).encode()).hexdigest()


def _spliced(
    examples: Sequence[Example], conversations: Sequence[Conversation], chance: random.Random
) -> Iterator[LaterExample]:
    turns = [turn for conversation in conversations for turn in conversation.turns]
    said = _by_language_and_use_case([*examples, *turns])
    names = sorted({use_case for _, use_case in said})
    languages = sorted({language for language, _ in said})
    for example in examples:
        others = [name for name in names if name != example.use_case]
        stays = chance.random() < STAYING or not others
        standing = example.use_case if stays else chance.choice(others)
        language = example.language if chance.random() < SAME_LANGUAGE else chance.choice(languages)
        before = said.get((language, standing), [""])
        previous = chance.choice(before) if chance.random() >= UNKNOWN else ""
        if previous != example.text:
            yield LaterExample(example, standing, previous)


def _mistaken(real: Sequence[LaterExample], names: Sequence[str], chance: random.Random) -> Iterator[LaterExample]:
    for one in real if len(names) > 1 else ():
        if chance.random() < MISTAKEN:
            standing = chance.choice([name for name in names if name != one.standing])
            yield replace(one, standing=standing)


def _ignored(
    out_of_scope: Sequence[Example], use_cases: Sequence[str], chance: random.Random
) -> Iterator[LaterExample]:
    for example in out_of_scope if use_cases else ():
        standing = chance.choice(use_cases)
        yield LaterExample(replace(example, use_case=standing), standing, "")


def _by_language_and_use_case(examples: Sequence[Example]) -> Mapping[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for example in examples:
        found.setdefault((example.language, example.use_case), []).append(example.text)
    return found
