"""What is sent to whom: the loads of scenarios a, b and c, and the check that a router answers them rightly."""

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.nginx import ANSWER, MODEL
from benchmarks.process import Program
from benchmarks.rounds import Contender
from benchmarks.routers import OURS, Router
from benchmarks.wrk import SESSION, Load

CHECK_WITHIN_S = 30
CHECKED_ID = 9_999_999  # a session that no load uses

PEER = "vllm-router"  # in whose units throughput is told

CHAT = Load(
    "/v1/chat/completions",
    [{"model": MODEL, "messages": [{"role": "user", "content": "Make it shorter, please."}], "max_tokens": 100,
      "temperature": 0.7, "stream": False}],
    {"X-Session-ID": SESSION},
    prefix="chat-",
)  # fmt: skip

FIRST_QUERY = "Write a Python function to sort a list"
FOLLOW_UP = "Add error handling to that function"
FEW = 200  # sessions, so that a warm-up fills the memory of each of them
BYPASS = Load("/route", [{"query": FOLLOW_UP, "session_id": SESSION}], sessions=FEW, prefix="follow-")
FORGETFUL = Load(
    "/route", [{"query": FOLLOW_UP, "session_id": SESSION, "remember": False}], sessions=FEW, prefix="forget-"
)

QUERIES = (
    "Write a Python function to sort a list of dates",
    "Explain how a hash table handles two equal keys",
    "Draft a polite email asking my landlord for repairs",
    "Plan a three day trip to Jaipur for two people",
    "What is the difference between a virus and a bacterium",
    "Summarise the causes of the first world war in brief",
    "Refactor this loop so that it reads the file once",
    "Give me five names for a small coffee shop",
    "How do I undo the last commit in git",
    "Translate good morning and see you soon into Tamil",
    "Solve for x when three x plus five is twenty",
    "Write a haiku about rain on a tin roof",
    "Which SQL index would make this query faster, please",
    "Compare solar panels and heat pumps for an old house",
    "What is wrong in this screenshot of my terminal",
    "Read the total amount from this scanned invoice for me",
    "Describe what the people in the photo are doing",
    "Which of these two charts shows the higher growth rate",
    "What does the sign in this picture say in English",
    "Count the apples in the image on the kitchen table",
    "Extract the table from this photographed page as text",
    "Is the plant in this picture healthy or does it wilt",
    "What breed is the dog in the attached photo",
    "Find the moment in the video where the goal falls",
    "Summarise what happens in this clip from the camera",
    "How many cars pass in the traffic recording by noon",
    "Does the person in the footage leave through the door",
    "Describe each scene of this short film in one line",
    "At which second does the dancer in the video fall",
    "Watch the clip and tell me who speaks first",
    "Transcribe this voice message from my doctor, please",
    "Write down what is said in the attached recording",
    "What language is the caller in this audio speaking",
    "Turn my lecture recording into written notes with headings",
    "Make subtitles from the sound of this interview, please",
    "Is the caller in the recording angry or only tired",
    "Who talks in this meeting recording, and when exactly",
    "Type out the voice note that my sister sent me",
    "Read this paragraph aloud in a calm female voice",
    "Say welcome to our store in a cheerful voice",
    "Turn this article into speech for my morning drive",
    "Speak the following sentence slowly and clearly in Hindi",
    "Narrate this bedtime story in a warm low voice",
    "Generate an audio version of the announcement below, please",
    "Create a talking avatar that presents our new product",
    "Make a presenter with a face read the news text",
    "Animate this portrait so that it says happy birthday",
    "I want a digital human to greet visitors on screen",
    "Give my chatbot a lip synced face that speaks",
    "Let a virtual teacher with a face explain fractions",
)  # fmt: skip
FIRST_TURN = Load("/route", [{"query": query, "session_id": SESSION} for query in QUERIES], kind="fresh")


@dataclass(frozen=True)
class Scenario:
    """One table: its load for each router, at some numbers of connections."""

    letter: str
    title: str
    shows: str
    connections: Sequence[int]
    contenders: Callable[[Sequence[Router], Program | None], list[Contender]]


def _pass_through(routers: Sequence[Router], store: Program | None) -> list[Contender]:
    return [Contender(one.name, one, CHAT, store if one.name == OURS else None) for one in routers]


def _bypass(routers: Sequence[Router], store: Program | None) -> list[Contender]:
    found = [Contender(f"{PEER}, scenario a", one, CHAT) for one in routers if one.name == PEER]
    for one in (one for one in routers if one.name == OURS):
        found.append(Contender(f"{OURS}, /route", one, BYPASS, store))
        found.append(Contender(f"{OURS}, /route, remember: false", one, FORGETFUL, store))
    return found


def _first_turn(routers: Sequence[Router], store: Program | None) -> list[Contender]:
    return [Contender(f"{OURS}, /route", one, FIRST_TURN, store) for one in routers if one.name == OURS]


SCENARIOS = (
    Scenario(
        "a",
        "Pass-through with a session",
        "`POST /v1/chat/completions`, some 150 bytes of JSON, `X-Session-ID` in turn one of 500. smart-router: with "
        "key, session in Redis, metrics and logs. The others: no key, and a session only where they have one.",
        (1, 32, 256),
        _pass_through,
    ),
    Scenario(
        "b",
        "A follow-up on /route",
        f"`POST /route` with “{FOLLOW_UP}” in one of {FEW} sessions that have had their first turn: the session's "
        "choice stands, the encoder does not run. By default a session remembers its last ten exchanges, which are "
        "read, sent along and written each time; `remember: false` leaves writing out.",
        (1, 32),
        _bypass,
    ),
    Scenario(
        "c",
        "A first turn on /route",
        f"`POST /route`, every request a session of its own, {len(QUERIES)} short queries of all use cases in turn: "
        "each is tokenised, encoded and classified, and a session is made.",
        (1, 32),
        _first_turn,
    ),
)


class WrongAnswer(Exception):
    """A router's answer is not what the load should measure; the message says what came instead."""


def check(contender: Contender) -> None:
    """
    Prepare the sessions of a follow-up, then look at one answer.

    Raises:
        WrongAnswer: measuring it would measure something else.
    """
    load = contender.load
    if load in (BYPASS, FORGETFUL):
        for number in range(load.sessions):
            _right(_post(contender, "/route", {"query": FIRST_QUERY, "session_id": load.session(number)}))
        answer = _right(_post(contender, load.path, _filled(load.bodies[0], load.session(0))))
        if not answer.get("bypass_used"):
            raise WrongAnswer(f"not a bypass: {answer.get('use_case')}, {answer.get('reason')}")
        return
    _right(_post(contender, load.path, _filled(load.bodies[0], load.session(CHECKED_ID))))


def _filled(body: Mapping[str, Any], session: str) -> dict[str, Any]:
    return {name: session if value == SESSION else value for name, value in body.items()}


def _post(contender: Contender, path: str, body: Mapping[str, Any]) -> tuple[int, bytes]:
    address = contender.router.url.removeprefix("http://")
    headers = {"Content-Type": "application/json"} | dict(contender.load.headers) | dict(contender.router.headers)
    filled = {name: value.replace(SESSION, "check") for name, value in headers.items()}
    connection = http.client.HTTPConnection(address, timeout=CHECK_WITHIN_S)
    try:
        connection.request("POST", path, json.dumps(body), filled)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as exc:
        raise WrongAnswer(f"no answer: {type(exc).__name__}") from exc
    finally:
        connection.close()


def _right(response: tuple[int, bytes]) -> dict[str, Any]:
    """
    A right answer, decoded.

    Raises:
        WrongAnswer: of another status, or without the upstream's words.
    """
    status, body = response
    text = body.decode(errors="replace")
    if status != 200 or ANSWER not in text:
        raise WrongAnswer(f"status {status}: {text[:200]}")
    return dict(json.loads(text))
