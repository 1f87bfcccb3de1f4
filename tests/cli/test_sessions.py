"""`smart-router sessions`: listing, showing, ending, pinning; and routers that cannot do that yet."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from smart_router.cli import app
from tests.e2e.routers import Router

from .scripted_router import ScriptedRouter
from .terminal import typed

pytestmark = pytest.mark.usefixtures("bare_environment")


def a_session(id: str, **changed: Any) -> dict[str, Any]:
    return {
        "session_id": id, "use_case": "agent", "model_id": "org/a", "endpoint": "http://a:8000", "confidence": 0.9,
        "request_count": 3, "created_at": "2026-01-01T00:00:00.000+00:00", "pinned": False,
        "last_accessed": "2026-01-01T00:01:00.000+00:00", "bypass_enabled": True,
        "lanes": {"gpu0": {"use_case": "agent", "model_id": "org/a", "endpoint": "http://a:8000"}},
    } | changed  # fmt: skip


def run(router: ScriptedRouter, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["sessions", *arguments, "--url", router.url])


def page(*ids: str, following: str | None = None) -> dict[str, Any]:
    return {"sessions": [a_session(id) for id in ids], "next_cursor": following}


def test_sessions_are_listed_a_line_each(router: ScriptedRouter) -> None:
    router.answers(200, {"sessions": [a_session("s1"), a_session("s2", pinned=True)], "next_cursor": None})
    found = run(router, "list")
    head, first, second = found.stdout.splitlines()
    assert head.split() == ["SESSION", "USE_CASE", "MODEL", "TURNS", "PINNED", "LAST_USED", "BEGUN"]
    assert first.split()[:5] == ["s1", "agent", "org/a", "3", "-"]
    assert second.split()[4] == "yes"
    assert router.asked == [("GET", "/sessions?limit=50")]


def test_as_json_the_pages_are_one_document(router: ScriptedRouter) -> None:
    router.answers_in_turn("GET", "/sessions", page("a", "b", following="c u"), page(following="d"), page("c"))
    assert json.loads(run(router, "list", "--json").stdout) == page("a", "b", "c")
    assert [path for _, path in router.asked] == [
        "/sessions?limit=50", "/sessions?limit=48&cursor=c+u", "/sessions?limit=48&cursor=d",
    ]  # fmt: skip


def test_no_more_than_the_limit_are_listed_and_that_there_are_more_is_said(router: ScriptedRouter) -> None:
    router.answers(200, page("a", "b", "c", following="next"))
    found = run(router, "list", "--limit", "3", "--cursor", "before")
    assert len(found.stdout.splitlines()) == 1 + 3
    assert "there are more" in found.stderr
    assert router.asked == [("GET", "/sessions?limit=3&cursor=before")]


def test_a_cursor_that_leads_in_a_circle_ends_the_list(router: ScriptedRouter) -> None:
    router.answers(200, page("a", following="again"))
    assert run(router, "list").exit_code == 0
    assert len(router.asked) == 2


def test_without_sessions_there_is_the_head_alone(router: ScriptedRouter) -> None:
    router.answers(200, page())
    assert len(run(router, "list").stdout.splitlines()) == 1


def test_one_is_shown_with_its_lanes(router: ScriptedRouter) -> None:
    router.answers(200, a_session("a b/c", bypass_enabled=True))
    found = run(router, "show", "a b/c").stdout
    assert "lane_gpu0       agent org/a http://a:8000" in found
    assert "bypass_enabled  yes" in found
    assert router.asked == [("GET", "/sessions/a%20b%2Fc")]
    assert json.loads(run(router, "show", "x", "--json").stdout) == a_session("a b/c", bypass_enabled=True)


def test_several_may_be_ended(router: ScriptedRouter) -> None:
    router.answers(200, {"success": True, "message": "ended"})
    assert run(router, "end", "a", "b").stdout == "a: ended\nb: ended\n"
    assert router.asked == [("DELETE", "/sessions/a"), ("DELETE", "/sessions/b")]


def test_one_that_cannot_be_ended_does_not_keep_the_others(router: ScriptedRouter) -> None:
    router.answers(200, {"success": True, "message": "ended"}, "DELETE", "/sessions/b")
    router.refuses(404, "unknown_session", "no such session")
    found = run(router, "end", "a", "b")
    assert (found.exit_code, found.stdout, found.stderr) == (1, "b: ended\n", "smart-router: a: 404: no such session\n")


def test_one_is_pinned_and_unpinned(router: ScriptedRouter) -> None:
    router.answers(200, a_session("a", pinned=True))
    assert "pinned          yes" in run(router, "pin", "a", "tts").stdout
    assert run(router, "unpin", "a", "--json").exit_code == 0
    assert router.asked == [("PATCH", "/sessions/a")] * 2
    assert router.bodies == [{"use_case": "tts"}, {"use_case": None}]


@pytest.mark.parametrize("command", [["show", "a"], ["end", "a"], ["pin", "a", "agent"], ["unpin", "a"]])
def test_one_that_is_not_there_is_a_failure(router: ScriptedRouter, command: list[str]) -> None:
    router.refuses(404, "unknown_session", "no such session; it may have expired")
    found = run(router, *command)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.endswith("404: no such session; it may have expired\n")


@pytest.mark.parametrize(
    ("command", "status", "code"), [(["list"], 404, "not_found"), (["pin", "a", "agent"], 405, "method_not_allowed")]
)
def test_an_older_router_is_told_from_a_mistake(
    router: ScriptedRouter, command: list[str], status: int, code: str
) -> None:
    router.refuses(status, code, "GET /sessions: Not Found; see /docs for what there is")
    found = run(router, *command)
    assert found.exit_code == 1
    assert "older than this command line" in found.stderr
    assert "update it" in found.stderr


def test_an_odd_answer_is_no_router(router: ScriptedRouter) -> None:
    router.answers(200, {"sessions": []})
    assert run(router, "list").exit_code == 3


def test_a_real_router_is_understood(real_router: Router) -> None:
    for id in ("cli-1", "cli-2"):
        real_router.answer("Write a haiku about rain", session_id=id, max_tokens=3)

    def told(*arguments: str) -> Any:
        done = typed("sessions", *arguments, "--json", "--url", real_router.url)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert {"cli-1", "cli-2"} <= {one["session_id"] for one in told("list", "--limit", "200")["sessions"]}
    pinned = told("pin", "cli-1", "tts")
    assert (pinned["use_case"], pinned["pinned"]) == ("tts", True)
    assert told("show", "cli-1")["pinned"]
    assert not told("unpin", "cli-1")["pinned"]
    ended = typed("sessions", "end", "cli-1", "cli-2", "--url", real_router.url)
    assert (ended.returncode, ended.stdout) == (0, "cli-1: ended\ncli-2: ended\n")
