"""The kinds of users. README.md here says what each is for; `weight` is its share of all."""

import http.client
import time
from typing import ClassVar

from locust import User, task

from loadtests.asking import DOORS, Said, Unexpected
from loadtests.attacks import Attack, attacks, send
from loadtests.conversations import Conversation
from loadtests.speaking import CHANCE, KEY, Speaker
from loadtests.tally import Sample

SLOW_LINE_S = 0.2
ATTACK_EVERY_S = 1.0


class RealTime(Speaker):
    """A person in a conversation that keeps to its use case, with pauses to think."""

    kind, weight = "realtime", 5

    @task
    def talk(self) -> None:
        conversation, door, session = self.begin()
        past: list[Said] = []
        for turn in conversation.turns:
            if past:
                time.sleep(self.wait_time())
            answer = self.ask(door, turn, past, session)
            if answer is None:
                return
            past.append(Said(turn, answer))


class Streaming(RealTime):
    """The same, reading the answer as it comes."""

    kind, weight, streaming = "streaming", 3, True


class Switching(RealTime):
    """A person who changes what it is about in the middle: with a file, a hint, or words alone."""

    kind, weight = "switching", 2

    def fits(self, conversation: Conversation) -> bool:
        return conversation.switches


class Batch(Speaker):
    """A job: one query after the other, no session, no pause."""

    kind, weight = "batch", 1

    def wait_time(self) -> float:
        return 0.0

    @task
    def work(self) -> None:
        turn = CHANCE.choice(self.conversations).turns[0]
        if self.ask(CHANCE.choice(DOORS), turn, [], None) is None:
            time.sleep(self.think_s)  # a router that fails is not flooded as well


class Idle(Speaker):
    """Begins, goes away, comes back late, and reads slowly."""

    kind, weight = "idle", 1

    @task
    def come_back(self) -> None:
        conversation, door, session = self.begin()
        past: list[Said] = []
        for turn, line_s in zip(conversation.turns[:3], (0.0, 0.0, SLOW_LINE_S), strict=True):
            answer = self.ask(door, turn, past, session, line_s)
            if answer is None:
                return
            if not past:
                time.sleep(self.idle_s)
            past.append(Said(turn, answer))


class Hostile(User):
    """Sends what must be refused; a refusal is a success."""

    kind: ClassVar[str] = "hostile"
    weight = 1

    def wait_time(self) -> float:
        return ATTACK_EVERY_S * CHANCE.uniform(0.5, 1.5)

    @task
    def attack(self) -> None:
        attack, began = CHANCE.choice(attacks(bool(KEY))), time.perf_counter()
        self.environment.events.request.fire(
            request_type=attack.method,
            name=f"{attack.name} {self.kind}",
            exception=_not_refused(attack, self.host or ""),
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            context={"sample": Sample(self.kind, meant_to_fail=True)},
        )


def _not_refused(attack: Attack, url: str) -> Exception | None:
    """None for a 4xx."""
    try:
        status = send(attack, url, KEY)
    except (OSError, http.client.HTTPException) as exc:
        return Unexpected(f"{attack.name} at {attack.path}: no answer: {exc!r}")
    return None if 400 <= status < 500 else Unexpected(f"{attack.name} at {attack.path}: status {status}")
