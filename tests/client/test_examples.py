"""Each example, as its first lines say, against a router on simulated model servers."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.e2e.asking import a_png
from tests.e2e.models import AGENT, MULTIMODAL, Models
from tests.e2e.routers import Router
from tests.needs import program

pytestmark = pytest.mark.timeout(150)  # importing an SDK takes seconds, or many on a busy machine

EXAMPLES = Path(__file__).parents[2] / "examples"
FIRST = f"[simulated {AGENT}] You said: Write a Python function to sort a list."
FOLLOW_UP = f"[simulated {AGENT}] You said: Add error handling to that function."
RUN_BY = {".py": [sys.executable, "-W", "error"], ".sh": ["sh"], ".js": ["node"]}


def said(name: str, router: Router, *arguments: str) -> str:
    """What the example prints; it must end well, and complain of nothing."""
    file = EXAMPLES / name
    run_by, *options = RUN_BY[file.suffix]
    done = subprocess.run(
        [run_by if run_by == sys.executable else program(run_by), *options, str(file), *arguments],
        env=os.environ | {"SMART_ROUTER_URL": router.url},
        capture_output=True,
        text=True,
        timeout=140,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_every_example_is_tested_here() -> None:
    tested = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.iterdir() if path.suffix in RUN_BY and path.name not in tested] == []


@pytest.mark.parametrize("name", ["python_client.py", "javascript_client.js", "with_requests.py"])
def test_a_conversation(name: str, embedded_router: Router, models: Models) -> None:
    lines = said(name, embedded_router).splitlines()
    assert lines[0] == FIRST
    assert lines[1].startswith("-> agent (classified")
    assert lines[2:] == [f"{FOLLOW_UP} (2 earlier messages)", "-> agent (bypass)"]


@pytest.mark.parametrize("name", ["with_openai.py", "with_anthropic.py"])
def test_a_conversation_of_an_sdk(name: str, embedded_router: Router, models: Models) -> None:
    lines = said(name, embedded_router).splitlines()
    assert lines[0] == FIRST
    assert lines[-2:] == [f"{FOLLOW_UP} (2 earlier messages)", "-> agent (bypass: true)"]


def test_langchain(embedded_router: Router, models: Models) -> None:
    lines = said("with_langchain.py", embedded_router).splitlines()
    assert lines[0].startswith(FIRST)
    assert lines[1] == f"-> agent (classified) on {AGENT}"
    assert lines[2].startswith(FOLLOW_UP)
    assert len(models.agent.received()) == 2


def test_several_questions_at_once(embedded_router: Router, models: Models, tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(base64.b64decode(a_png()))
    lines = said("python_async_client.py", embedded_router, str(tmp_path / "dot.png")).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["agent", "agent", "tts", "multimodal"]
    assert MULTIMODAL in lines[3]


def test_curl(embedded_router: Router, models: Models) -> None:
    told = said("with_curl.sh", embedded_router)
    assert FIRST in told
    assert "event: route\n" in told
    assert "event: done\n" in told
    assert '"use_case":"multimodal"' in told
    assert '"request_count":2' in told
    assert "ended" in told


def test_litellms_configuration_leads_to_the_router() -> None:
    """That LiteLLM works so was seen by hand, see docs/clients.md: it is too heavy to be locked."""
    config = yaml.safe_load((EXAMPLES / "litellm" / "config.yaml").read_text())
    names = {model["model_name"]: model["litellm_params"] for model in config["model_list"]}
    assert names["auto"]["model"] == "openai/auto"
    assert all(params["api_base"] == "http://localhost:8001/v1" for params in names.values())
    assert config["general_settings"]["forward_client_headers_to_llm_api"] is True
