"""Do words come as they are written, or all at once at the end?"""

import json
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from smart_router.decide import sse
from smart_router.doctor import refusals
from smart_router.doctor.checks.models import OLD
from smart_router.doctor.checks.route import request_for
from smart_router.doctor.deployment import Answer, Deployment, read_bounded
from smart_router.doctor.finding import Finding, failed, passed

NAME = "streaming"
QUERY = "Count from one to twelve in words."
MAX_TOKENS = 32
TRIES = 3  # a machine that is busy may read late what came in time
AT_ONCE_S = 0.02  # between the first word and the end: 32 tokens would come at 1,600 a second
TELLS_APART = 4  # words, at least
TELLS_FROM_S = 0.1  # of the router's total time: who is quicker cannot be told from who is held back
EVENT_STREAM = "text/event-stream"
BUFFERED = (
    "a proxy in front gathers answers: `proxy_buffering off` (nginx), the annotation proxy-buffering (ingress), no "
    "compression of text/event-stream: docs/kubernetes.md#let-people-in, docs/deployment.md#https"
)
UNFINISHED = (
    "does a proxy cut answers off (its read timeout), or did the model server end early? "
    "docs/operations.md#smartroutererrorratehigh"
)


@dataclass
class Heard:
    """When what came, in seconds since it was asked for."""

    names: list[str] = field(default_factory=list)
    words: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    end: dict[str, Any] = field(default_factory=dict)  # the record of `done`, or of `error`

    @property
    def at_once(self) -> bool:
        """All words and the end came together, and not before the router was done with them."""
        total_s = float(self.end["total_time"])
        together = self.last_s - self.first_s < AT_ONCE_S and self.first_s >= total_s
        return together and self.words >= TELLS_APART and total_s >= TELLS_FROM_S


async def check(there: Deployment) -> list[Finding]:
    """A stream of a few words; asked again where it seems to be held back."""
    use_case = next(one for one in there.facts.use_cases if one["id"] in there.facts.answered)
    finding = passed(NAME, "")
    for _ in range(TRIES):
        heard = await _listen(there, request_for(there, use_case, query=QUERY, max_tokens=MAX_TOKENS, stream=True))
        finding = heard if isinstance(heard, Finding) else _judged(heard)
        if finding.advice != BUFFERED:
            break
    return [finding]


async def _listen(there: Deployment, body: dict[str, Any]) -> Heard | Finding:
    asked = perf_counter()
    async with there.opened("POST", "/route", body) as response:
        if response.status_code != 200:
            page = await read_bounded(response, "/route")
            answer = Answer(response.status_code, response.headers, page, perf_counter() - asked)
            return failed(NAME, refusals.seen(answer), refusals.advice(answer))
        kind = response.headers.get("content-type", "")
        if not kind.startswith(EVENT_STREAM):
            return failed(NAME, f"is {kind or 'of no type'}, not {EVENT_STREAM}", OLD)
        return await _heard(response.aiter_bytes(), asked)


async def _heard(parts: AsyncIterable[bytes], asked: float) -> Heard:
    parser, heard = sse.Parser(), Heard()
    async for part in parts:
        now = perf_counter() - asked
        for event in parser.feed(part):
            heard.last_s = now
            heard.names.append(event.event)
            if event.event == "message":
                heard.words += 1
                heard.first_s = heard.first_s or now
            elif event.event in ("done", "error"):
                heard.end = json.loads(event.data)
    return heard


def _judged(heard: Heard) -> Finding:
    if heard.names[:1] != ["route"]:
        return failed(NAME, f"begins with {(*heard.names, 'nothing')[0]}, not with the decision", OLD)
    if heard.names[-1] == "error":
        return failed(NAME, f"broke off: {heard.end.get('error_message')}", refusals.BROKEN)
    if heard.names[-1] != "done":
        return failed(NAME, f"ends after {heard.words} parts without the event `done`", UNFINISHED)
    if heard.at_once:
        return failed(NAME, f"all {heard.words} parts came at once, after {heard.last_s:.2f} s", BUFFERED)
    return passed(NAME, f"first word after {heard.first_s:.2f} s, the end after {heard.last_s:.2f} s")
