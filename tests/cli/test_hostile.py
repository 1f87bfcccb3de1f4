"""A router, or a model behind it, that means ill: what it says is shown, and steers no terminal."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from smart_router.cli import app
from smart_router.cli.sessions import MOST_EMPTY

from .scripted_router import ScriptedRouter, a_scripted_router
from .terminal import a_terminal

pytestmark = [pytest.mark.usefixtures("bare_environment"), pytest.mark.timeout(120)]

STEERS = ("\x1b]0;", "\x1b[31mill", "\x9b", "\x07")  # names the window, colours, both in one character, rings
ILL = f"{STEERS[0]}t{STEERS[3]}{STEERS[1]}{STEERS[2]}2J"
NOW = "2026-11-21T22:00:00+00:00"

DECISION = {
    "success": True, "use_case": ILL, "selected_model": ILL, "session_id": ILL, "confidence": 0.9, "reason": ILL,
    "bypass_used": False, "context_changed": False, "new_session": True, "routing_time": 0.001, "total_time": 0.2,
    "fallback_from": ILL, "result": ILL, "scores": {ILL: 0.9}, "because": {"note": ILL},
}  # fmt: skip
PART = {"requests": 1, "errors": 0, "average_inference_time": 0.1}
STATS = {
    "total_requests": 3, "bypass_requests": 1, "since": ILL, "use_cases": {ILL: PART}, "models": {ILL: PART},
    "model_states": {ILL: {"state": ILL, "waiting": ILL}},
}  # fmt: skip
REPLICA = {"model": ILL, "status": ILL, "endpoint": ILL, "trouble": ILL}
HEALTH = {
    "status": ILL, "bypass_router": ILL, "timestamp": NOW, "classifier": {"kind": ILL, "trouble": ILL},
    "model_endpoints": {ILL: {"status": ILL, "endpoint": ILL, "replicas": [REPLICA]}},
}  # fmt: skip
MODEL = {
    "id": ILL, "group": ILL, "lifecycle": ILL, "state": ILL, "pinned": False, "preloaded": True, "in_flight": 0,
    "waiting": 0, "sessions": 0, "last_used": NOW, "awake_since": NOW, "wakes": 1, "evictions": 0,
    "last_wake_seconds": 1.0, "trouble": ILL,
}  # fmt: skip
MODELS = {
    "models": [MODEL], "groups": [{"id": ILL, "residents": [ILL], "max_resident": 1}], "concurrent_models": 1,
    "max_concurrent_models": 1,
}  # fmt: skip
SESSION = {"session_id": ILL, "use_case": ILL, "model_id": ILL, "request_count": 1, "lanes": {ILL: {"use_case": ILL}}}
ANSWERS: dict[tuple[str, str], Any] = {
    ("POST", "/route"): DECISION,
    ("POST", "/classify"): DECISION,
    ("GET", "/stats"): STATS,
    ("GET", "/health"): HEALTH,
    ("GET", "/livez"): {},
    ("GET", "/models"): MODELS,
    ("POST", "/models/m/pin"): MODEL,
    ("GET", "/sessions/s"): SESSION,
}


@pytest.fixture(scope="module")
def ill() -> Iterator[ScriptedRouter]:
    with a_scripted_router() as router:
        router.refuses(400, f"bad_request{ILL}", ILL)
        for (method, path), answer in ANSWERS.items():
            router.answers(200, answer, method, path)
        yield router


@pytest.mark.parametrize(
    "command",
    [
        "route hi",
        "route --json hi",
        "classify hi",
        "models",
        "models pin m",
        "sessions show s",
        "sessions end s",
        "doctor",
        "bench --warmup 0 --runs 1 --same 1",
    ],
)
def test_what_a_router_says_steers_no_terminal(ill: ScriptedRouter, command: str) -> None:
    with a_terminal(*command.split(), SMART_ROUTER_URL=ill.url) as terminal:
        terminal.ended()
        assert [sign for sign in STEERS if sign in terminal.said] == []
        assert "Traceback" not in terminal.said
        assert "2J" in terminal.said  # it was said


@pytest.mark.parametrize("command", ["doctor", "bench", "stats"])
@pytest.mark.parametrize("key", ["sk-secret\r", "sk-secr\nX: y", "sk-größe"])
def test_a_key_that_no_header_can_carry_is_a_mistake_and_not_told(command: str, key: str) -> None:
    result = CliRunner().invoke(app, [command, "--url", "http://127.0.0.1:9", "--key", key])
    if key.strip() == "sk-secret":  # as files of Windows end their lines
        assert result.exit_code == 3
    else:
        assert (result.exit_code, result.stdout) == (2, "")
        assert "key: has characters in it that no header can carry" in result.stderr
    assert "sk-" not in result.output


@pytest.mark.parametrize("command", ["doctor", "bench", "stats"])
@pytest.mark.parametrize("url", ["http://h:99999", "http://h/?a=b", "http://u:hunter2@h", "http://", "h", "http://a b"])
def test_what_is_no_address_is_a_mistake(command: str, url: str) -> None:
    result = CliRunner().invoke(app, [command, "--url", url])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "url: " in result.stderr
    assert "hunter2" not in result.output


def test_nor_does_what_it_says_again_and_again(ill: ScriptedRouter) -> None:
    with a_terminal("stats", "--watch", "--every", "0.2", SMART_ROUTER_URL=ill.url) as terminal:
        terminal.shows("2J")
        terminal.press("q")
        terminal.ended()
        assert [sign for sign in STEERS if sign in terminal.said] == []


def test_nor_what_goes_to_stderr_while_stdout_is_piped(ill: ScriptedRouter) -> None:
    with a_terminal("route", "hi", piped=True, SMART_ROUTER_URL=ill.url) as terminal:
        assert terminal.ended() == 0
        assert [sign for sign in STEERS if sign in terminal.said] == []
        assert "session" in terminal.said


def test_whoever_reads_a_line_and_leaves_sees_no_traceback(ill: ScriptedRouter) -> None:
    command = f"{sys.executable} -m smart_router doctor --url {ill.url} | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=100, check=False)
    assert "Traceback" not in done.stderr


OTHERS: list[tuple[str, Any]] = [
    ("route hi", {"result": 1, "use_case": "a", "session_id": "s"}),
    ("classify hi", {"use_case": "a", "reason": "r", "scores": [], "confidence": None}),
    ("models", {"models": [{}], "groups": []}),
    ("models pin m", {"id": "m", "state": None}),
    ("sessions list", {"sessions": [{}], "next_cursor": None}),
    ("sessions list", {"sessions": [SESSION | {"created_at": "yesterday"}], "next_cursor": None}),
    ("sessions show s", {"session_id": "s", "use_case": "a", "lanes": []}),
    ("stats --watch", {"total_requests": None, "bypass_requests": 0, "use_cases": [], "models": [],
                       "status": 1, "model_endpoints": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("command", "answer"), OTHERS)
def test_a_router_of_another_version_is_said_and_is_no_traceback(
    router: ScriptedRouter, command: str, answer: Any
) -> None:
    router.answers(200, answer)
    result = CliRunner().invoke(
        app, [*command.split(), "--url", router.url, *(["--every", "0.2"] * ("watch" in command))]
    )
    assert (result.exit_code, type(result.exception)) == (3, SystemExit)
    assert "another version" in result.stderr


def test_pages_without_sessions_are_not_turned_for_ever(router: ScriptedRouter) -> None:
    pages = ({"sessions": [], "next_cursor": f"{number}"} for number in range(2 * MOST_EMPTY))
    router.answers_in_turn("GET", "/sessions", *pages)
    result = CliRunner().invoke(app, ["sessions", "list", "--url", router.url])
    assert result.exit_code == 0, result.output
    assert len(router.asked) == MOST_EMPTY


@pytest.mark.parametrize("id", ["\\$(touch x)", '\\"; touch x; "', "`touch x`", "a\nb", "\x1b]0;t\x07"])
def test_a_shell_is_offered_nothing_that_it_could_carry_out(router: ScriptedRouter, id: str) -> None:
    """zsh evaluates what it is offered, and what a backslash stands before slips through the quotes."""
    cases = [{"id": id, "description": "d"}, {"id": "agent", "description": id}]
    router.answers(200, {"use_cases": cases}, "GET", "/use-cases")
    variables = {"_SMART_ROUTER_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "smart-router route --use-case "}
    done = CliRunner().invoke(app, [], env=variables | {"SMART_ROUTER_URL": router.url}, prog_name="smart-router")
    assert "agent" in done.stdout
    assert not set(done.stdout) & set("\\$`;\x1b\x07")


def a_stream(*events: tuple[str, Any]) -> bytes:
    return b"".join(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in events)


DONE = {"bypass_used": False, "routing_time": 0.001, "use_case": "a", "selected_model": "m"}


def benched(router: ScriptedRouter, *end: tuple[str, Any]) -> dict[str, Any]:
    router.answers(200, HEALTH, "GET", "/health")
    router.answers(200, a_stream(*end), "POST", "/route", Content_Type="text/event-stream")
    options = ("--warmup", "0", "--runs", "2", "--same", "0", "--json")
    result = CliRunner().invoke(app, ["bench", "--url", router.url, *options])
    found: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    return found


def test_an_answer_that_came_as_a_whole_has_no_tokens_per_second(router: ScriptedRouter) -> None:
    """As from behind a proxy that holds answers back: between its first word and its end there was no time."""
    end = DONE | {"usage": {"completion_tokens": 64}}
    found = benched(router, ("message", {"delta": "a"}), ("message", {"delta": "b"}), ("done", end))
    assert set(found["groups"]["first"]) == {"time_to_first_token", "end_to_end", "routing"}


@pytest.mark.parametrize(
    "changed",
    [{"usage": None}, {"usage": {"completion_tokens": "x"}}, {"routing_time": []}, {"routing_time": float("nan")}],
)
def test_a_measured_router_of_another_version_is_an_error_of_its_turns(router: ScriptedRouter, changed: Any) -> None:
    found = benched(router, ("done", DONE | {"usage": {"completion_tokens": 1}} | changed))
    assert found["errors"]["not understood"]["count"] == 2
