"""The conversations that the users of a load test hold: `conversations/*.yaml`, and what each turn is about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from smart_router.types import MediaKind

FOLDER = Path(__file__).parent / "conversations"
USE_CASES = ("agent", "multimodal", "video", "stt", "tts", "avatar")
MEDIA = get_args(MediaKind)
FEWEST, MOST = 3, 8  # turns


class Unreadable(Exception):
    """A file of conversations is wrong; the message names the place and what would be right."""


@dataclass(frozen=True)
class Turn:
    """What is *said*, and the use case it is *about*; *attach*: a file comes with it; *modality*: only a hint does."""

    say: str
    about: str
    attach: MediaKind | None = None
    modality: MediaKind | None = None


@dataclass(frozen=True)
class Conversation:
    name: str
    language: str
    turns: tuple[Turn, ...]

    @property
    def use_cases(self) -> frozenset[str]:
        return frozenset(turn.about for turn in self.turns)

    @property
    def switches(self) -> bool:
        return len(self.use_cases) > 1


def load(folder: Path = FOLDER) -> tuple[Conversation, ...]:
    """
    All conversations of *folder*, file by file.

    Raises:
        Unreadable: a file is not of the form that english.yaml describes.
    """
    return tuple(conversation for path in sorted(folder.glob("*.yaml")) for conversation in _of_file(path))


def about(conversations: Sequence[Conversation], use_cases: frozenset[str]) -> tuple[Conversation, ...]:
    """Those that are about nothing else than *use_cases*."""
    return tuple(conversation for conversation in conversations if conversation.use_cases <= use_cases)


def _of_file(path: Path) -> Iterator[Conversation]:
    file = yaml.safe_load(path.read_text(encoding="utf-8"))
    for number, given in enumerate(file["conversations"]):
        place = f"{path.name}: conversations[{number}]"
        turns = tuple(_turns(given, place))
        if not FEWEST <= len(turns) <= MOST:
            raise Unreadable(f"{place}: has {len(turns)} turns; give it {FEWEST} to {MOST}")
        yield Conversation(given["name"], file["language"], turns)


def _turns(given: Mapping[str, Any], place: str) -> Iterator[Turn]:
    """A turn that does not say what it is about goes on with what the one before was about."""
    subject = given["about"]
    for number, said in enumerate(given["turns"]):
        fields = {"say": said} if isinstance(said, str) else said
        subject = fields.get("about", subject)
        yield _checked(fields, subject, f"{place}.turns[{number}]")


def _checked(fields: Mapping[str, Any], subject: str, place: str) -> Turn:
    if unknown := fields.keys() - {"say", "about", "attach", "modality"}:
        raise Unreadable(f"{place}: {', '.join(sorted(unknown))}: a turn has say, about, attach and modality")
    if "say" not in fields:
        raise Unreadable(f"{place}: say: is missing; what is said?")
    if subject not in USE_CASES:
        raise Unreadable(f"{place}: about {subject!r}: must be one of {', '.join(USE_CASES)}")
    for name in ("attach", "modality"):
        if fields.get(name, "image") not in MEDIA:
            raise Unreadable(f"{place}: {name} {fields[name]!r}: must be one of {', '.join(MEDIA)}")
    return Turn(fields["say"], subject, fields.get("attach"), fields.get("modality"))
