"""`smart-router route` and `classify`: what is sent, what is printed where, and exit codes."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from smart_router.cli import app
from smart_router.cli.media import picture
from smart_router.cli.processes import free_port
from tests.e2e.routers import Router

from .scripted_router import ScriptedRouter
from .terminal import a_terminal, typed

pytestmark = [pytest.mark.usefixtures("bare_environment"), pytest.mark.timeout(120)]

DECISION = {
    "use_case": "agent", "selected_model": "org/a", "confidence": 0.9, "reason": "classified", "bypass_used": False,
    "context_changed": False, "session_id": "s", "new_session": True, "routing_time": 0.001, "request_id": "r",
}  # fmt: skip
ANSWER = DECISION | {
    "success": True, "result": "one two", "inference_time": 0.1, "total_time": 0.2,
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, "finish_reason": "stop",
}  # fmt: skip
CLASSIFIED = DECISION | {
    "success": True, "scores": {"tts": 0.1, "agent": 0.9}, "because": {"note": "the words say so"},
}  # fmt: skip


def run(url: str, *arguments: str, input: str | bytes | None = None) -> Result:
    command, *rest = arguments
    return CliRunner().invoke(app, [command, "--url", url, *rest], input=input)


# what is sent


def test_what_is_given_is_sent(router: ScriptedRouter, tmp_path: Path) -> None:
    router.answers(200, ANSWER)
    file = tmp_path / "shot.png"
    file.write_bytes(picture()[0])
    options = ("--session", "s1", "--use-case", "tts", "--max-tokens", "7", "--attach", str(file))
    assert run(router.url, "route", "hi", *options, "--attach", "https://a.example/b.WAV?x=1").exit_code == 0
    (body,) = router.bodies
    first, second = body.pop("attachments")
    assert body == {"query": "hi", "session_id": "s1", "use_case": "tts", "max_tokens": 7}
    assert (first["type"], first["media_type"]) == ("image", "image/png")
    assert second == {"type": "audio", "url": "https://a.example/b.WAV?x=1"}


@pytest.mark.parametrize("command", ["route", "classify"])
def test_a_dash_is_what_stdin_says(router: ScriptedRouter, command: str) -> None:
    router.answers(200, ANSWER | CLASSIFIED)
    assert run(router.url, command, "-", input="two\nlines हाँ\n").exit_code == 0
    assert router.bodies == [{"query": "two\nlines हाँ\n"}]


@pytest.mark.parametrize("said", ["", " \n", b"\xff\xfe"])
def test_nothing_on_stdin_is_asked_of_nobody(router: ScriptedRouter, said: str | bytes) -> None:
    found = run(router.url, "route", "-", input=said)
    assert (found.exit_code, router.asked) == (2, [])
    assert "stdin" in found.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.png", None, "cannot be read"),
        ("notes.txt", b"x", "no image, recording or film"),
        ("empty.png", b"", "is empty"),
    ],
)
def test_a_file_that_cannot_be_attached_is_refused_before_anything_is_sent(
    router: ScriptedRouter, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    found = run(router.url, "route", "hi", "--attach", str(tmp_path / name))
    assert (found.exit_code, router.asked) == (2, [])
    assert said in found.stderr


def test_a_link_must_say_what_it_leads_to(router: ScriptedRouter) -> None:
    found = run(router.url, "route", "hi", "--attach", "https://a.example/thing")
    assert (found.exit_code, router.asked) == (2, [])
    assert "image, audio, video" in found.stderr


# what is printed


def test_the_answer_goes_to_the_output_and_where_it_went_beside_it(router: ScriptedRouter) -> None:
    router.answers(200, ANSWER)
    found = run(router.url, "route", "hi")
    assert found.stdout == "one two\n"
    assert found.stderr == (
        "[agent · org/a · classified · confidence 0.90 · routing 1.0 ms · total 200 ms · session s]\n"
    )
    router.answers(200, ANSWER | {"bypass_used": True, "fallback_from": "org/b"})
    assert "org/a instead of org/b · classified · bypass" in run(router.url, "route", "hi").stderr


def test_as_json_it_is_the_whole_answer_and_nothing_else(router: ScriptedRouter) -> None:
    router.answers(200, ANSWER)
    found = run(router.url, "route", "hi", "--json")
    assert (json.loads(found.stdout), found.stderr) == (ANSWER, "")


def test_a_decision_is_told_with_its_scores_best_first(router: ScriptedRouter) -> None:
    router.answers(200, CLASSIFIED)
    assert run(router.url, "classify", "hi").stdout.splitlines() == [
        "agent (classified, confidence 0.90) on org/a",
        "USE_CASE  SCORE",
        "agent     0.900",
        "tts       0.100",
        "the words say so",
    ]
    assert json.loads(run(router.url, "classify", "hi", "--json").stdout) == CLASSIFIED
    assert [path for _, path in router.asked] == ["/classify"] * 2


def test_at_a_terminal_scores_are_bars(real_router: Router) -> None:
    with a_terminal("classify", "--url", real_router.url, "what does this sign say") as terminal:
        terminal.shows("multimodal")
        terminal.shows("████")
        assert terminal.ended() == 0


def test_at_a_terminal_there_is_no_colour_where_nobody_wants_any(real_router: Router) -> None:
    with a_terminal("route", "--url", real_router.url, "hi", NO_COLOR="1") as terminal:
        terminal.shows("You said: hi")
        assert terminal.ended() == 0
        assert "\x1b[3" not in terminal.said


# streams


def test_a_stream_prints_the_same_words_as_they_come(real_router: Router) -> None:
    query = ("Write a haiku about rain", "--max-tokens", "30")
    whole = typed("route", "--url", real_router.url, *query)
    streamed = typed("route", "--url", real_router.url, "--stream", *query)
    assert "You said: Write a haiku about rain." in whole.stdout
    assert (streamed.returncode, streamed.stdout) == (0, whole.stdout)
    assert "agent · Qwen/Qwen2.5-7B-Instruct · classified" in streamed.stderr
    as_json = json.loads(typed("route", "--url", real_router.url, "--stream", "--json", *query).stdout)
    assert as_json["result"] == whole.stdout.rstrip("\n")
    assert as_json["usage"]["completion_tokens"] > 0


@contextmanager
def a_stream(*parts: bytes) -> Iterator[str]:
    """Answers the first request with *parts* of a stream, then hangs up."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(head + b"".join(parts))

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def event(data: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + f"data: {json.dumps(data)}\n\n".encode()


def test_a_stream_that_breaks_leaves_what_came_and_is_a_failure() -> None:
    with a_stream(event(DECISION, "route"), b": waiting\n\n", event({"delta": "half an ans"})) as url:
        found = run(url, "route", "--stream", "hi")
    assert (found.exit_code, found.stdout) == (1, "half an ans\n")
    assert "broke off" in found.stderr


def test_what_fails_before_the_first_word_prints_none(router: ScriptedRouter) -> None:
    router.refuses(503, "no_model_available", "nothing answers", Retry_After="2")
    found = run(router.url, "route", "--stream", "hi")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "503: nothing answers; try again in 2 s" in found.stderr


# exit codes


@pytest.mark.parametrize("more", [[], ["--stream"]])
def test_nobody_at_the_address_is_3(more: list[str]) -> None:
    found = run(f"http://127.0.0.1:{free_port()}", "route", "hi", *more)
    assert (found.exit_code, found.stdout) == (3, "")
    assert "start one with `smart-router serve`" in found.stderr
    assert "--url" in found.stderr


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, {"hello": "there"}), (404, {"detail": "Not Found"}), (502, b"Bad Gateway"), (200, [1])],
)
def test_somebody_else_at_the_address_is_3(router: ScriptedRouter, status: int, body: Any) -> None:
    router.answers(status, body)
    found = run(router.url, "route", "hi")
    assert (found.exit_code, found.stdout) == (3, "")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(("status", "code"), [(400, "bad_request"), (401, "unauthorized"), (429, "rate_limited")])
def test_a_refusal_is_1(router: ScriptedRouter, status: int, code: str) -> None:
    router.refuses(status, code, "no")
    found = run(router.url, "route", "hi")
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.startswith(f"smart-router: {status}: no")


def test_who_has_the_wrong_key_is_told_how_to_give_another(router: ScriptedRouter) -> None:
    router.refuses(401, "unauthorized", "the key is not known")
    for key in ([], ["--key", "sk-x"]):
        assert "with --key, or API_KEY" in run(router.url, "classify", "hi", *key).stderr


@pytest.mark.parametrize(
    "arguments",
    [["route"], ["route", "hi", "--max-tokens", "0"], ["route", "hi", "--attach"], ["nothing"], ["--frequently"]],
)
def test_a_wrong_command_line_is_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize("url", ["localhost:8001", "ftp://a", "http://", "http://a:99999"])
def test_what_is_no_address_is_2(url: str) -> None:
    found = run(url, "route", "hi")
    assert found.exit_code == 2
    assert "http://localhost:8001" in found.stderr


def test_a_key_that_cannot_be_one_is_2(router: ScriptedRouter) -> None:
    found = run(router.url, "route", "hi", "--key", "schlüssel\n")
    assert (found.exit_code, router.asked) == (2, [])


def test_ctrl_c_is_130() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with a_terminal("route", "--url", url, "hi") as terminal:
            connection, _ = silent.accept()
            with connection:
                connection.recv(65_536)  # it has asked, and waits
                terminal.interrupt()
                assert terminal.ended() == 130
                assert "Traceback" not in terminal.said
