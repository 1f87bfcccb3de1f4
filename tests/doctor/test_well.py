"""A deployment that is well: all checks pass, at little cost, and nothing stays."""

import os
import re
import signal
import subprocess
from typing import Any

import pytest

from smart_router.cli.processes import smart_router
from tests.e2e.asking import CHAT
from tests.e2e.models import Models
from tests.e2e.redis_process import RedisProcess
from tests.e2e.routers import Router, environment, until

from .examined import examined

pytestmark = pytest.mark.timeout(240)  # routers start, on a machine that may have much else to do
ASKING = {"route", "follow-up bypass", "latency", "streaming"}
OTHERS = 5  # use cases than agent
MOST_TOKENS = 32
MOST_REQUESTS = 6 + 2 + 3  # one per use case, a follow-up and its first turn, a stream that may be repeated


@pytest.fixture
def well(deployment: Router, models: Models, stored: RedisProcess) -> Router:
    until(lambda: deployment.get("/health")["status"] == "healthy")
    return deployment


def chats(models: Models) -> list[dict[str, Any]]:
    """What was asked of them, without probes by other routers."""
    asked = (request for server in models.all for request in server.requests())
    return [request["body"] for request in asked if request["path"] == CHAT]


def test_everything_passes_on_the_demo_deployment(well: Router) -> None:
    found = examined(well.url)
    assert found.named("warn", "fail", "skipped") == set(), found.report
    assert (found.code, found.report["status"]) == (0, "pass")
    routed = {f"route: {name}" for name in ("agent", "multimodal", "video", "stt", "tts", "avatar")}
    assert found.named("pass") >= routed | {"reachable", "redis", "follow-up bypass", "streaming", "metrics", "clock"}


def test_it_costs_a_few_tokens_and_leaves_no_session(well: Router, models: Models, stored: RedisProcess) -> None:
    examined(well.url)
    asked = chats(models)
    assert len(asked) <= MOST_REQUESTS
    assert max(body["max_tokens"] for body in asked) <= MOST_TOKENS
    assert stored.keys("doctor") == set()


def test_a_use_case_gets_the_kind_of_file_that_it_is_about(well: Router, models: Models) -> None:
    examined(well.url)
    contents = [body["messages"][-1]["content"] for body in chats(models)]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    urls = [part[f"{part['type']}"]["url"][:20] for part in parts if part["type"].endswith("_url")]
    sounds = [part for part in parts if "audio" in part["type"]]
    assert {url.partition(";")[0] for url in urls} >= {"data:image/png", "data:video/mp4"}
    assert sounds


def test_quick_asks_no_model(well: Router, models: Models) -> None:
    found = examined(well.url, "--quick")
    assert (found.code, chats(models)) == (0, [])
    assert not {finding["name"].partition(":")[0] for finding in found.findings} & ASKING
    assert found.named("pass") >= {"reachable", "router", "ready", "key", "errors: unknown field", "metrics"}


def test_away_from_a_terminal_there_is_a_line_per_finding_and_a_summary(well: Router) -> None:
    done = subprocess.run(
        smart_router("doctor", "--quick"), env=environment(SMART_ROUTER_URL=well.url), capture_output=True, text=True
    )
    *lines, nothing, summary = done.stdout.splitlines()
    assert (done.returncode, nothing, done.stderr) == (0, "", "")
    assert all(re.match(r"pass    \S", line) for line in lines), lines
    assert summary == f"all well: {len(lines)} passed"


def test_interrupted_it_ends_its_sessions(well: Router, models: Models, stored: RedisProcess) -> None:
    models.agent.fail("stall-before-headers")
    told = environment(SMART_ROUTER_URL=well.url)
    with subprocess.Popen(smart_router("doctor"), env=told, stdout=subprocess.PIPE) as process:
        models.agent.wait_for_running(1)
        until(lambda: len(stored.keys("doctor")) == OTHERS)
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    models.agent.wait_for_running(0)
    assert stored.keys("doctor") == set()
