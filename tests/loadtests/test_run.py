"""`python -m loadtests` against a whole router: figures, gates, exit codes, and what it says when it cannot begin."""

import json
import re
import sys
from pathlib import Path

import httpx2
import pytest
from loadtests.options import KINDS
from loadtests.servers import Site

from smart_router.cli.processes import free_port, running

from .conftest import ROOT, Run, bare_variables

SMALL = ("--seconds", "12", "--users", "13", "--think-s", "0.3", "--idle-s", "1", "--tokens", "8")
# What a busy build server cannot shake; the defaults are for an idle machine.
PATIENT = ("--max-routing-p95-ms", "5000", "--max-p95-ms", "20000", "--max-p99-ms", "30000", "--min-bypass", "70")


@pytest.mark.timeout(150)
def test_a_small_run_passes_its_gates(site: Site, run: Run, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = run("--host", site.url, *SMALL, *PATIENT, "--results", str(results), variables={"API_KEY": site.key or ""})
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(results.read_text())
    assert {row[0] for row in figures["kinds"]} == {*KINDS, "all"}
    assert all(gate["passed"] for gate in figures["gates"])
    assert figures["errors"] == {}
    assert any(point["first_token_p50_ms"] for point in figures["points"])
    assert re.search(r"^follow-ups bypassed +≥ 70 % +[\d.]+ % +PASS$", done.stdout, re.MULTILINE)


@pytest.mark.timeout(150)
def test_a_gate_that_fails_is_the_exit_code(site: Site, run: Run) -> None:
    impossible = ("--kinds", "batch", "--users", "1", "--seconds", "3", "--max-p95-ms", "1")
    done = run("--host", site.url, *impossible, variables={"API_KEY": site.key or ""})
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^latency p95 +≤ 1 ms +\S+ ms +FAIL$", done.stdout, re.MULTILINE)


@pytest.mark.timeout(150)
def test_a_wrong_key_is_said_before_the_run(site: Site, run: Run) -> None:
    done = run("--host", site.url, variables={"API_KEY": "not-the-key"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"loadtests: {site.url} refuses the key of API_KEY; set API_KEY to the router's key\n"


@pytest.mark.timeout(150)
def test_a_missing_key_is_said_before_the_run(site: Site, run: Run) -> None:
    done = run("--host", site.url)
    assert done.returncode == 2
    assert "refuses the request without a key; set API_KEY to the router's key" in done.stderr


@pytest.mark.timeout(150)
def test_the_web_interface_shows_its_page(site: Site) -> None:
    port = free_port()
    words = (sys.executable, "-m", "loadtests", "--host", site.url, "--ui", "--ui-port", str(port))
    variables = bare_variables() | {"API_KEY": site.key or "", "PYTHONPATH": str(ROOT)}
    with running(words, port, variables, path="/") as url:
        assert "Locust" in httpx2.get(url).text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--host", f"http://127.0.0.1:{free_port()}"], "no router answers at"),
        (["--host", "localhost"], "must begin with http:// or https://"),
        (["--shape", "wobble"], "argument --shape: invalid choice: 'wobble'"),
        (["--users", "0"], "argument --users: '0' is not a whole number from 1"),
        (["--kinds", "robots"], "argument --kinds: 'robots': not among realtime, "),
        (["--use-cases", "agent,dance"], "argument --use-cases: 'dance': not among agent, "),
        (["--seconds", "soon"], "argument --seconds: 'soon' is not a number"),
        (["--max-errors", "-1"], "argument --max-errors: "),
        (["--name", "../up"], "argument --name: '../up': use small letters, digits and -"),
        (["--use-cases", "stt", "--kinds", "hostile", "--seconds", "0"], "argument --seconds: '0' is not more than 0"),
    ],
)
def test_what_cannot_begin_says_why_in_one_line(run: Run, words: list[str], says: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("loadtests: ")
    assert says in line
