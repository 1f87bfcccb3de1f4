"""The form of log lines, and what a traced request's line has more."""

import io
import json
import sys
from typing import Any

import pytest

from smart_router.errors import ConfigurationError
from smart_router.observe.finished import Finished
from smart_router.observe.logs import RequestLog, configure_logs
from smart_router.settings import load_settings
from smart_router.types import LogFormat

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def line_of(monkeypatch: pytest.MonkeyPatch, form: LogFormat, *, terminal: bool, **more: Any) -> str:
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs("info", form)
    log = RequestLog()
    log(Finished(request_id="r1", session_id="s1", outcome="ok", total_s=0.1, **more))
    log.close()
    return stream.getvalue()


@pytest.mark.parametrize(
    ("form", "terminal", "machine"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("json", True, True),
        ("json", False, True),
        ("console", True, False),
        ("console", False, False),
    ],
)
def test_lines_are_json_or_for_people(
    monkeypatch: pytest.MonkeyPatch, form: LogFormat, terminal: bool, machine: bool
) -> None:
    line = line_of(monkeypatch, form, terminal=terminal)
    assert line.startswith("{") == machine
    assert ("request_id=" in line or "\x1b[36mrequest_id" in line) != machine


def test_readable_lines_that_no_terminal_shows_are_not_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in line_of(monkeypatch, "console", terminal=False)
    assert "\x1b" in line_of(monkeypatch, "console", terminal=True)


def test_the_trace_is_told_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(line_of(monkeypatch, "json", terminal=False, trace_id=TRACE))["trace_id"] == TRACE
    assert f"trace_id={TRACE}" in line_of(monkeypatch, "console", terminal=False, trace_id=TRACE)
    for form in ("json", "console"):
        assert "trace_id" not in line_of(monkeypatch, form, terminal=False)


@pytest.mark.usefixtures("bare_environment")
def test_the_format_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().log_format == "auto"
    monkeypatch.setenv("LOG_FORMAT", "JSON")
    assert load_settings().log_format == "json"


@pytest.mark.usefixtures("bare_environment")
def test_an_unknown_format_is_refused_with_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert all(part in str(caught.value) for part in ("LOG_FORMAT", "auto", "json", "console", "xml"))
