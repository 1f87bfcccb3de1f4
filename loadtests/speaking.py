"""
A user of locust's that holds conversations: sends a turn through a door, reads the answer and has it judged.

All waiting is `time.sleep`, which locust replaces by one that lets the other users go on.
"""

import os
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

from locust import FastHttpUser
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS

from loadtests import streams
from loadtests.asking import DOORS, ROUTE, Decided, Door, Said, Unexpected
from loadtests.conversations import Conversation, Turn, about, load
from loadtests.tally import Sample

KEY = os.environ.get("API_KEY", "")
FIRST_TOKEN = "TTFT"  # noqa: S105  # the type of an event, no secret
EVERYTHING = load()  # once: it takes a tenth of a second, for which nobody else could go on
CHANCE = random.Random()  # noqa: S311  # of what is said, not of who may come in
MOST_OF_AN_ERROR = 200  # characters
BAD_ANSWERS = (Unexpected, ValueError, LookupError, TypeError, *FAILURE_EXCEPTIONS)


class Speaker(FastHttpUser):
    """`kind` is its name in figures; `fits` chooses its conversations."""

    abstract = True
    kind: ClassVar[str]
    streaming: ClassVar[bool] = False

    def on_start(self) -> None:
        options = self.environment.parsed_options
        self.tokens, self.think_s, self.idle_s = options.tokens, options.think_s, options.idle_s
        known = about(EVERYTHING, frozenset(options.use_cases))
        self.conversations = tuple(one for one in known if self.fits(one)) or known

    def fits(self, conversation: Conversation) -> bool:
        return not conversation.switches

    def wait_time(self) -> float:
        return float(self.think_s * CHANCE.uniform(0.5, 1.5))

    def begin(self) -> tuple[Conversation, Door, str]:
        """A conversation, the door that it goes through and its session."""
        return CHANCE.choice(self.conversations), CHANCE.choice(DOORS), f"load-{uuid.uuid4().hex}"

    def ask(self, door: Door, turn: Turn, past: list[Said], session: str | None, line_s: float = 0.0) -> str | None:
        """The answer's text; None if it failed. With *line_s* it is streamed, and read a line in that time."""
        stream = self.streaming or line_s > 0
        text, decided, began = None, None, time.perf_counter()
        with self._send(door, door.body(turn, past, session, stream, self.tokens), session, stream) as response:
            try:
                _check_status(response)
                text, decided = self._hear(door, response, began, line_s) if stream else _read(door, response)
            except BAD_ANSWERS as exc:
                response.failure(f"{type(exc).__name__}: {exc}"[:MOST_OF_AN_ERROR])
            response.request_meta["response_time"] = (time.perf_counter() - began) * 1000
            response.request_meta["context"]["sample"] = self._sample(turn, past, decided, paced=line_s > 0)
        return text

    def _send(self, door: Door, body: dict[str, Any], session: str | None, stream: bool) -> Any:
        headers = {"Authorization": f"Bearer {KEY}"} if KEY else {}
        if session and door.path != ROUTE:
            headers["X-Session-ID"] = session
        name = f"{door.path} {self.kind}"
        return self.client.post(door.path, json=body, headers=headers, name=name, catch_response=True, stream=stream)

    def _hear(self, door: Door, response: Any, began: float, line_s: float) -> tuple[str, Decided]:
        on_first = _nothing if line_s else partial(self._first_token, door, began)  # slow reading is its own doing
        heard = streams.read(_lines(response.stream, line_s), on_first)
        return heard.text, door.decided(_lower(response.headers), heard.record)

    def _first_token(self, door: Door, began: float) -> None:
        self.environment.events.request.fire(
            request_type=FIRST_TOKEN,
            name=f"{door.path} {self.kind}",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=None,
            context={"first_token_of": self.kind},
        )

    def _sample(self, turn: Turn, past: list[Said], decided: Decided | None, paced: bool) -> Sample:
        stays = bool(past) and past[-1].turn.about == turn.about
        return Sample(self.kind, about=turn.about, follow_up=stays, decided=decided, paced=paced)


def _nothing() -> None:
    pass


def _check_status(response: Any) -> None:
    """
    Raises:
        Unexpected: it is no 200.
    """
    if response.status_code != 200:
        why = response.text or getattr(response, "error", None)
        raise Unexpected(f"status {response.status_code}: {why}")


def _read(door: Door, response: Any) -> tuple[str, Decided]:
    record = response.json()
    return door.text(record), door.decided(_lower(response.headers), record)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _lines(stream: Any, line_s: float) -> Iterator[bytes]:
    while line := stream.readline(b"\n"):
        if line_s:
            time.sleep(line_s)
        yield line
