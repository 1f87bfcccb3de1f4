"""Alerts fire when they must and only then, speak of series that exist, and each has its paragraph for the operator."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from smart_router.observe.finished import Finished, Outcome
from smart_router.observe.logs import RequestLog, configure_logs
from smart_router.observe.metrics import Metrics
from tests.needs import program

ROOT = Path(__file__).parents[1]
RULES_FILE = ROOT / "prometheus" / "alerts.yml"
UNIT_TESTS = sorted((ROOT / "prometheus").glob("*_test.yml"))
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
RULES = [rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]]
NAMES = [rule["alert"] for rule in RULES]
PREFIX = "smart_router_"
TARGET = {"job", "instance"}  # what Prometheus adds to every series


@pytest.fixture(scope="session")
def promtool() -> str:
    return program("promtool")


def run(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def known() -> dict[str, set[str]]:
    """Name of each series that a query may ask for -> its labels, `le` included."""
    found: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        if not hasattr(metric, "_labelnames"):
            continue
        name, labels = metric._name, set(metric._labelnames)
        if metric._type == "histogram":
            found |= {f"{name}_count": labels, f"{name}_sum": labels, f"{name}_bucket": {*labels, "le"}}
        else:
            found[name + ("_total" if metric._type == "counter" else "")] = labels
    return found


KNOWN = known()


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """Each of our series in *query*, with the labels that it is chosen by."""
    for name, matchers in re.findall(rf"\b({PREFIX}\w+)(?:\{{([^}}]*)\}})?", query):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


def grouping(query: str) -> set[str]:
    return set(re.findall(r"\w+", " ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", query))))


def unit_tests() -> Iterator[tuple[str, bool]]:
    """Alert and whether it must fire, of each unit test but those of the idle router, where nothing can."""
    for path in UNIT_TESTS:
        if path.name != "alerts_idle_test.yml":
            for story in yaml.safe_load(path.read_text())["tests"]:
                yield from ((test["alertname"], bool(test["exp_alerts"])) for test in story["alert_rule_test"])


def table(beginning: str) -> list[list[str]]:
    """The cells of the table of docs/operations.md whose head begins so."""
    rows = OPERATIONS.split(f"\n| {beginning}")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# the rules


def test_promtool_accepts_the_rules(promtool: str) -> None:
    run(promtool, "check", "rules", "--lint-fatal", RULES_FILE)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_must_and_only_then(promtool: str, path: Path) -> None:
    run(promtool, "test", "rules", path)


def test_no_two_alerts_share_a_name() -> None:
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_asks_for_series_that_exist(rule: dict[str, Any]) -> None:
    for name, labels in selectors(rule["expr"]):
        assert name in KNOWN
        assert labels - KNOWN[name] - TARGET == set()


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_groups_by_labels_that_its_series_have(rule: dict[str, Any]) -> None:
    labels = set().union(*(KNOWN[name] for name, _ in selectors(rule["expr"])))
    assert grouping(rule["expr"]) - labels - TARGET == set()


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_says_how_urgent_it_is_and_what_it_is_about(rule: dict[str, Any]) -> None:
    assert rule["for"]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    told = rule["annotations"]["summary"] + rule["annotations"]["description"]
    assert {f"$labels.{label}" for label in grouping(rule["expr"]) - {"le"}} - set(
        re.findall(r"\$labels\.\w+", told)
    ) == set()


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_has_a_unit_test_in_which_it_fires_and_one_in_which_it_is_silent(name: str) -> None:
    assert {fires for alert, fires in unit_tests() if alert == name} == {True, False}


def test_every_alert_is_silent_on_an_idle_router() -> None:
    (story,) = yaml.safe_load((ROOT / "prometheus" / "alerts_idle_test.yml").read_text())["tests"]
    assert [test["alertname"] for test in story["alert_rule_test"] if not test["exp_alerts"]] == NAMES


# docs/operations.md


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_leads_to_its_paragraph(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert (page, anchor) == ("docs/operations.md", rule["alert"].lower())  # as GitHub makes an anchor of a heading
    paragraph = OPERATIONS.split(f"\n### {rule['alert']}\n")[1].split("\n### ")[0]
    assert re.findall(r"^- \*\*(.*?)\*\*", paragraph, re.M) == ["Means", "Users see", "Check", "Do"]


def test_every_paragraph_has_its_alert() -> None:
    assert re.findall(r"^### (.*)$", OPERATIONS, re.M) == NAMES


def test_queries_for_the_operator_ask_for_series_that_exist() -> None:
    found = list(selectors(OPERATIONS))
    assert found
    assert [(name, labels) for name, labels in found if name not in KNOWN or labels - KNOWN[name] - TARGET] == []


def test_the_table_of_metrics_is_complete() -> None:
    told = {named(row[0])[0]: row[2] for row in table("metric |")}
    ours = {}
    for metric in vars(Metrics()).values():
        if hasattr(metric, "_labelnames"):
            name = metric._name.removeprefix(PREFIX) + ("_total" if metric._type == "counter" else "")
            ours[name] = ", ".join(metric._labelnames)
    assert told == ours


def test_the_table_of_log_fields_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    configure_logs("info")
    log = RequestLog()
    log(Finished(request_id="r1", session_id="s1", outcome="ok", total_s=1.0))
    log.close()
    told = {field for row in table("field |") for field in named(row[0])}
    assert told - {"trace_id"} == set(json.loads(said.getvalue()))


def test_every_outcome_is_explained() -> None:
    assert [named(row[0])[0] for row in table("`outcome` |")] == sorted(get_args(Outcome), key=_as_told)


def _as_told(outcome: str) -> int:
    return OPERATIONS.split("\n| `outcome` |")[1].index(f"`{outcome}`")
