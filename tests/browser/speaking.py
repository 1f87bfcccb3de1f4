"""A model server that says what a test tells it to, as slowly as the test wants."""

import threading
from collections.abc import Iterable, Iterator

from tests.e2e.models import Recorder, Taken
from tests.upstream.scripted import DONE, STALL, STREAM_END, STREAM_HEAD, USAGE, Step, chunk, delta

SOON_S = 20.0


def says(recorder: Recorder, *texts: str, finish: str = "stop") -> None:
    """A whole streamed answer to every request."""
    recorder.tell(STREAM_HEAD, *map(_spoken, texts), *_end(finish))


def falls_silent(recorder: Recorder, *texts: str) -> None:
    """These words, then nothing until the client leaves."""
    recorder.tell(STREAM_HEAD, *map(_spoken, texts), STALL)


class Pause:
    """In the middle of an answer, until the test says `go`."""

    def __init__(self) -> None:
        self._going = threading.Event()

    def go(self) -> None:
        self._going.set()

    def wait(self) -> None:
        assert self._going.wait(SOON_S), "the test never let the answer go on"


def speaks(recorder: Recorder, *parts: "str | Pause") -> None:
    """The same, with pauses."""

    def script(_: Taken) -> Iterator[Step]:
        yield STREAM_HEAD
        for part in parts:
            if isinstance(part, Pause):
                part.wait()
            else:
                yield _spoken(part)
        yield from _end("stop")

    recorder.script = script


def _spoken(text: str) -> bytes:
    return chunk(delta(text))


def _end(finish: str) -> Iterable[bytes]:
    return chunk(delta(finish=finish)), chunk(USAGE), chunk(DONE), STREAM_END
